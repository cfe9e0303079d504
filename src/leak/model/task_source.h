// The seam for everything that can be blocked. A task source is one kind of task: goroutines with the OS threads that use their primitives
// (goroutines/source.cpp) today. It says which of its tasks wait, for what, and who can end that wait. Classification decides from that
// alone, and the rest of the detector knows tasks by {source, record, wait_id} only.
//
// The calls of one detection, by phase:
//
//   settle, candidates        the process runs; with no candidate in any source there is no snapshot
//   look                      the process runs; what the child will need is gathered, and stays as it is until the snapshot is over
//   kind_of                   while threads are stopped: how to treat one
//   frozen_source             in the snapshot's child: records, then fill, role_of, registers_of; pure, on frozen memory
//   waits_still, describe     the process runs again: a verdict counts only for the very wait that it speaks of
//
// 1. A record stands for one task at a time. wait_id names a wait for ever: the task's id is unique over all sources, and a wait number never
//    comes back for it.
// 2. fill may leave a task out only if it has ended. One that it does not understand is a root.
// 3. All functions of task_source run on the detector's thread; kind_of takes no lock and does not allocate.
// 4. Pointers that a source keeps while a snapshot is taken lie where they are no roots (hidden memory), or are complements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "leak/model/findings.h"
#include "leak/model/frozen_source.h"

namespace stray::leak {

enum class thread_kind : std::uint8_t {
  foreign,   // not known to this source
  own,       // runs the source's tasks, and is stopped with the library's own
  sleeping,  // the same, but asleep in a call of the program's: it is looked at first, as others' threads are
};

struct wait_ref {
  std::uint32_t record;
  wait_id wait;
};

// A task by its id, for leak::why.
struct task_state {
  enum kind : std::uint8_t { running, about_to_run, waits_for_what_ends, blocked } what = running;
  std::string_view waits;  // what it waits for; static
  bool thread = false;
  int tid = 0;  // of a thread
};

class thread_stacks;

class task_source {
 public:
  virtual void settle() noexcept {}                     // lets tasks that are about to end or to block get there
  virtual std::size_t candidates() const noexcept = 0;  // about; the main thread is none
  virtual std::size_t records() const noexcept = 0;     // as frozen_source::records, of now
  virtual frozen_source look() = 0;
  virtual thread_kind kind_of(int) const noexcept { return thread_kind::foreign; }

  virtual bool waits_still(std::uint32_t record, wait_id wait) const noexcept = 0;
  // What is seen of a task in that wait, without a verdict; nothing if it has moved on. listed: it is going to be reported as proven.
  virtual std::optional<finding> describe(std::uint32_t record, wait_id wait, thread_stacks& threads, bool listed) = 0;
  // It was decided to be proven and has moved on: a wrong verdict, to be counted by who woke it.
  virtual void note_wrong(std::uint32_t, wait_id) noexcept {}
  virtual std::vector<wait_ref> waiting() const = 0;  // all that a report may name
  virtual std::uint64_t main_task() const noexcept { return 0; }

  // For texts.
  virtual std::optional<task_state> state_of(std::uint64_t task) const = 0;
  virtual std::vector<std::uintptr_t> frames_of(std::uint64_t) const { return {}; }  // while it is blocked; else none
  virtual std::uint64_t owner_of_stack(std::uintptr_t) const noexcept { return 0; }  // the task whose stack holds the address
  virtual std::uintptr_t core_made_at(std::uint32_t) const noexcept { return 0; }    // return address
  // What the primitive of a leaked task still says: "; its counter is 1". Nobody alive can change it.
  virtual std::string state_of_primitive(const finding&) const { return {}; }

 protected:
  ~task_source() = default;
};

// All sources, by number. The first is that of goroutines.
struct source_list {
  task_source* list[most_sources];
  std::size_t count;
  task_source* const* begin() const noexcept { return list; }
  task_source* const* end() const noexcept { return list + count; }
  task_source& operator[](std::size_t n) const noexcept { return *list[n]; }
};
source_list sources() noexcept;
// From then on detections ask it, too. It must not be removed before one that was added later, and what was proven of its tasks is to be
// forgotten (forget_proofs): proofs and findings name sources by number. On the detector's thread (on_detector).
void add_source(task_source& source) noexcept;
void remove_source(task_source& source) noexcept;

}  // namespace stray::leak
