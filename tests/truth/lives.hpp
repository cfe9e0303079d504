// Lives: the truth. Each goroutine or OS thread that waits for what a place leads to writes itself in here, and who drops its last pointer
// says so before. Nobody else may ever be reported.
//
// 1. `dropped` is set before the last pointer goes, and read after a report has come: a report that was right is never called wrong.
// 2. A goroutine that no life has, and that `planted` does not have, is one of the fuzzer's own, and alive.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include <stray/stray.hpp>
#include "scene.hpp"

namespace truth {

inline constexpr std::uint64_t thread_bit = std::uint64_t{1} << 63;

enum class state : int { unborn, waiting, dropped, woken, ended };  // dropped for ever, also when it has ended

struct life {
  std::atomic<state> now{state::unborn};
  std::atomic<std::uint64_t> ids[2]{};  // goroutine_id(), or a TID and thread_bit
  std::atomic<int> running{0};          // of ids
  std::atomic<const char*> place{""}, place_before{""};
  int item = 0, ordinal = 0, members = 1;
  bool strict = false;  // once dropped, nothing stale can hide it
  bool plain =
      false;  // not in memory that stays reachable (a fiber's stack, a mapping, a pool): a miss would be by a stale word
};
inline constexpr int most_lives = 20'000;
inline life lives[most_lives];
inline std::atomic<int> lives_used{0};
int new_life(int item_number);  // -1: no more
inline std::uint64_t id_of(const stray::leak::goroutine& g) { return g.id | (g.thread ? thread_bit : 0); }

inline std::atomic<const char*> moment{"birth"};
extern scene the_scene;

// Writes the caller in; its end says how it went.
class alive {
 public:
  alive(int life_number, int which);
  ~alive();
  alive(const alive&) = delete;
  alive& operator=(const alive&) = delete;

 private:
  life& life_;
  int enter_exceptions_;
};

// A leak of the fuzzer's own, by the caller.
void write_planted();

// --- what a place leads to ---
struct object {
  static constexpr std::uint32_t is_object = 0x0b1ec7, is_link = 0x117c, is_packed = 0x9ac4ed;
  std::uint32_t what = is_object;
  int life = 0;
  void (*wake)(object*) = nullptr;     // who calls it has left nothing to do; the object may be gone when it returns
  void (*drop)(object*) = nullptr;     // destroys the handles in it, and the object if it is nobody's frame
  void (*release)(object*) = nullptr;  // its memory
  stray::chan<int> ch;
  stray::semaphore sem{0};
  stray::wait_group wg;
  stray::cancel_func cancel;
  stray::semaphore* sitter = nullptr;  // signal places: lies in the frame of a thread
  // From the waiter into the place, so that the block there is no orphan: fibers, timers, channels' buffers.
  void* back = nullptr;
  stray::timer back_timer;
  stray::recv_chan<void*> back_chan;
};
object* object_of(void* top);              // through the links
void* with_links(void* p, const item& i);  // takes the pointer over
object* without_links(void* p);
// at=masked: the handle in the object is XORed where it lies, so that it is counted and not found. Twice is as before.
void mask_handle(object* o, const item& i);

// Starts one life of the item; the pointer to its object comes into `cell`.
void begin_life(const item& i, int life_number, std::atomic<void*>& cell);

// --- failures: each ends the process ---
[[noreturn]] void fail(const std::string& kind, const std::string& text);
std::string describe(const life& l);

// --- reports ---
void check(const stray::leak::report& r, const char* who);
void check_why(const std::string& answer, int life_number);
struct counters {
  std::atomic<unsigned> detections{0}, incomplete{0}, died{0}, reclaimed{0}, lives{0}, woken{0}, dropped{0}, missed{0}, kept{0},
      strict_checked{0};
};
inline counters count;

}  // namespace truth
