// What keeps a blocked one alive: the chain from a root to it, as classification found it. Only when asked (leak::why).
//
// 1. Each node has at most two arrivals: how its memory became live (entered), and how it became live itself. Each was made by something
//    that was live before, so a chain ends at a root.
// 2. Chains are walked from the end; what is too long for the log is left out in the middle and counted.
// Pure; runs in the snapshot.
#pragma once

#include <cstdint>

#include "leak/model/wait_graph.h"
#include "trace/trail.h"

namespace stray::trace {
struct image;
}

namespace stray::leak {

struct arrival {
  enum kind : std::uint8_t {
    none,
    root,     // it can act: not blocked, or blocked for a reason that always ends
    word,     // a word at `at` has the right to wake it, through the channel `core`; entered: leads into its stack
    covered,  // the primitive that it waits on lies in live memory at `at`
    owner,    // the lock that it waits for is owned by node `other`
  } how = none;
  bool counted = true;  // the handle checks itself
  std::uint32_t other = no_node;
  std::uint32_t core = no_node;
  std::uint64_t at = 0;  // address, or trace::trail_mark
};

struct hop {
  enum kind : std::uint8_t {
    block,           // heap block: address, size
    stack,           // of the goroutine id, live itself or led into
    running,         // goroutine id: a root, since it can act
    closure,         // of a goroutine that has not started
    thread_stack,    // id: TID; a root, or of a thread that is blocked in a primitive
    thread_storage,  // TLS; id: TID
    registers,       // id: TID
    global,          // of a module: address
    mapping,         // other memory that belongs to no heap: address
    extra,           // add_root: address
    timer,           // a pending or firing callback: address, size of its block
    orphan,          // block that nothing is seen to refer to: address, size
    channel,         // size: made_at of it; id: 1 if the handle is one, 0 for a word that might be one
    primitive,       // embedded: address
    lock,            // owned by id
    unknown,         // address
  } what = unknown;
  std::uint64_t address = 0, size = 0, id = 0;
};

// In memory shared by parent and child. hops[0] is nearest to the goroutine.
struct path_log {
  static constexpr std::uint32_t near = 40, room = 80;  // the first `near` and the last ones
  bool candidate;                                       // it is blocked on a primitive
  bool live;
  bool complete;
  std::int64_t unseen;  // handles of its channels that were counted and not found
  std::uint64_t total;  // hops
  std::uint32_t count;
  hop hops[room];
};

struct path_request {
  std::uint64_t id = 0;  // of the task
  path_log* log = nullptr;
  const base::range* extra_roots = nullptr;
  unsigned extra_count = 0;
  // The child's:
  trace::trail trail;
  trace::slice<arrival> live, entered;
};

bool begin_path(path_request& p, const wait_graph& g, trace::image& image, trace::bump& memory) noexcept;
void find_path(path_request& p, const wait_graph& g, const trace::image& image, trace::bump& memory) noexcept;

}  // namespace stray::leak
