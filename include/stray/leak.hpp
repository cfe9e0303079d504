// Leaks: which goroutines can never wake again, proved.
//
//   stray::leak::report r = stray::leak::find();
//   std::cout << r;
//
// find() takes a copy-on-write snapshot of the process and traces ordinary memory in it (docs/design/README.md). What it does not understand is
// taken as alive and named in notes(). A report never contains a goroutine that something alive could still wake.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <stray/chan.hpp>
#include <stray/detail/library_mode.hpp>
#include <stray/detail/wait_id.hpp>

#pragma GCC visibility push(default)

namespace stray::leak {

// proven: nobody can wake it. cycle: proven, and a cycle of locks waiting for each other is the reason. likely: not proven only because of
// memory that cannot be attributed; the cause names it. suspected: no proof of anything: reachable, but blocked for a minute (or min_age), and
// either 16 times longer than half of the four or more others at the same place, or at a place where they become more from look to look and
// nobody was ever seen to wake after a sixteenth of that time. Only find() looks for these; the second kind needs an earlier look: of find()
// for this tier, of /metrics, /debug/stray/ or `stray top --longest`.
enum class tier { suspected, likely, cycle, proven };
const char* to_string(tier t) noexcept;

enum class mode { snapshot, stop_the_world };  // stop_the_world is not built yet: it is answered by a snapshot and a note

struct options {
  tier min_tier = tier::cycle;          // report this tier and better
  std::chrono::nanoseconds min_age{0};  // report only what has been blocked for so long; never sooner, up to 10 ms later
  leak::mode mode = mode::snapshot;
  bool explain = false;  // more text in causes
  // 0: none. A longer predicted pause (16 ms a GB of resident memory, 0.6 ms a MB of page tables) refuses the snapshot, with a note;
  // the answer of a snapshot that somebody else asked for at the same time is taken all the same.
  std::chrono::nanoseconds pause_budget{0};
};

struct frame {
  std::uintptr_t pc = 0;  // return address minus 1
  std::string function;   // demangled
  std::string file;       // absolute where the debug information has it; empty: unknown
  int line = 0;
};

struct goroutine {
  std::uint64_t id = 0;  // goroutine_id(); of an OS thread its TID, which the kernel gives to another thread later
  bool thread = false;   // an OS thread blocked in a primitive
  std::vector<std::pair<std::string, std::string>> labels;
  std::chrono::nanoseconds age{0};
  std::uint64_t wait = 0;      // number of its wait: as long as it is the same, it has not woken in between
  std::size_t bytes = 0;       // stack in use, and heap_bytes
  std::size_t heap_bytes = 0;  // blocks that only this one leads to
  std::uint64_t task = 0;      // its number among goroutines and threads, never used again: of a goroutine its id

  // Of this very wait: no other goroutine, thread or wait ever has the same.
  wait_id identity() const noexcept { return wait_id(task, wait); }
};

// Goroutines with identical stacks that were started at the same place, by the same callers.
struct group {
  std::size_t count = 0;
  leak::tier tier = tier::proven;
  std::string wait_reason;       // Go's text: "chan receive", "sync.Mutex.Lock", ...
  std::vector<frame> stack;      // leaf first, without the runtime's own lines
  frame created_by;              // where go was called; function empty: unknown
  std::uint64_t creator_id = 0;  // of the oldest member; 0: an OS thread
  // What it waits for and why nobody comes, of the oldest member: the primitive and where it was made or lies, the lock's owner and where
  // that one is blocked, the root leak behind a victim, a cycle as a cycle.
  std::string cause;
  std::chrono::nanoseconds age_max{0};
  std::size_t bytes = 0;       // of all members
  std::size_t heap_bytes = 0;  // of all members: what would be free without the leak, at least
  std::size_t victims = 0;     // others that are leaked only because of these: root leaks first
  std::vector<leak::goroutine> goroutines;
  std::vector<std::uintptr_t> pcs;  // return addresses, leaf first, of the whole stack
  // Who called created_by's function, and who that one's: at most two, innermost first, as far as they are the user's and can be told. For
  // goroutines that are started through a function of the program's own.
  std::vector<frame> called_by;
};

// Goroutines that are no more than likely, and the one thing that keeps them from being proven.
struct doubt {
  std::size_t count = 0;
  std::string text;  // "a word in a frame of a thread that sleeps in a system call"
};

class report {
 public:
  std::size_t total() const noexcept { return total_; }  // goroutines in all groups
  // Those that are likely and not in the groups, since min_tier asks for better: how many, and for which doubts. Nobody is left in silence.
  std::size_t likely() const noexcept;
  const std::vector<doubt>& doubts() const& noexcept { return doubts_; }
  std::vector<doubt> doubts() && { return std::move(doubts_); }
  // false: no verdict could be reached (the notes say why) or candidates were left undecided.
  bool complete() const noexcept { return complete_; }
  const std::vector<std::string>& notes() const& noexcept { return notes_; }
  std::vector<std::string> notes() && { return std::move(notes_); }
  // By count descending, then stack.
  const std::vector<group>& groups() const& noexcept { return groups_; }
  std::vector<group> groups() && { return std::move(groups_); }

  // The same detection with those goroutines only that `keep` accepts; groups without any go. Causes, victims and doubts stay as they are.
  //   stray::leak::reclaim(r.only([&](const auto&, const stray::leak::goroutine& g) { return g.id == mine; }));
  report only(const std::function<bool(const group&, const goroutine&)>& keep) const;

  std::chrono::nanoseconds pause() const noexcept { return pause_; }  // threads stood still for so long
  std::chrono::nanoseconds elapsed() const noexcept { return elapsed_; }
  std::chrono::system_clock::time_point taken() const noexcept { return taken_; }
  // Number of the detection, growing from 1; those who share one see the same. 0: nothing has been started yet, so nothing was looked at.
  std::uint64_t generation() const noexcept { return generation_; }

 private:
  friend struct report_builder;
  std::size_t total_ = 0;
  bool complete_ = true;
  std::vector<std::string> notes_;
  std::vector<group> groups_;
  std::vector<doubt> doubts_;
  std::chrono::nanoseconds pause_{0}, elapsed_{0};
  std::chrono::system_clock::time_point taken_{};
  std::uint64_t generation_ = 0;
};

// Blocks until the verdict is there. Any goroutine or OS thread may call it; calls at the same time share one detection.
report find(const options& o = {});

std::ostream& operator<<(std::ostream& out, const report& r);
std::ostream& operator<<(std::ostream& out, const group& g);

// The end of on_leak: the destructor ends the calls, and so does the assignment of another one. It waits for one that is running, unless that is what
// destroys it.
class [[nodiscard]] subscription {
 public:
  struct state;
  subscription() noexcept = default;
  subscription(subscription&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  subscription& operator=(subscription&& other) noexcept {
    subscription ended(std::exchange(state_, std::exchange(other.state_, nullptr)));
    return *this;
  }
  ~subscription();
  void detach() noexcept { state_ = nullptr; }  // keeps it for the process

 private:
  friend subscription on_leak(std::function<void(const report&)> callback, std::chrono::nanoseconds every, const options& o,
                              double cpu_share);
  explicit subscription(state* s) noexcept : state_(s) {}
  state* state_ = nullptr;
};

// Looks for leaks in the background, for the first time after `every` (at least 1 ms), and calls back with a report of the new ones only:
// each leak once for each subscription, as soon as it meets `o`; what has leaked before the subscription is new to it. Without new ones
// there is no call.
// - The callback runs on the watch's own thread, one call at a time; it may block and use all of stray, but delays the other ones. An
//   exception that leaves it is said on stderr, and the watch goes on; the report counts as delivered.
// - Cost: `every` is stretched so that detections take at most `cpu_share` of the time. Without a candidate for a leak a look disturbs nobody.
//   Subscriptions and requests at the same time share one detection.
// - The thread runs while there are subscriptions. No call begins once the process exits (std::exit, or main has returned); exit waits up
//   to 1 s for one that is running. While there is a subscription, the process is never called deadlocked.
// Any goroutine or OS thread may call it; it does not wait for a detection. Throws std::invalid_argument for an empty callback or a share
// that is not in (0, 1], std::bad_alloc, and std::system_error when no thread can be started.
subscription on_leak(std::function<void(const report&)> callback, std::chrono::nanoseconds every, const options& o = {},
                     double cpu_share = 0.01);

struct reclaim_options {
  std::size_t budget = 1000;                     // at most so many goroutines are reclaimed in this call
  std::chrono::nanoseconds wait{1'000'000'000};  // wait so long for them to end
  std::chrono::nanoseconds pause_budget{0};      // as in options
};

// reclaimed: it was unwound and has ended. unwinding: it is on its way, or one of its destructors blocks. deferred: another one that it waits for
// was reclaimed, so it may wake by itself; look again. refused: left exactly as it was.
enum class reclaim_outcome { reclaimed, unwinding, deferred, refused };
const char* to_string(reclaim_outcome o) noexcept;

struct reclaim_report {
  struct goroutine {
    std::uint64_t id = 0;
    reclaim_outcome outcome = reclaim_outcome::refused;
    std::string reason;    // why not; empty: reclaimed
    std::string function;  // whose frame is in the way; empty: none
  };
  std::vector<goroutine> goroutines;  // one for each goroutine and thread of the report that was given, in its order
  std::vector<std::string> notes;     // of the second detection; without one, of the report: why it may be empty

  std::size_t count(reclaim_outcome o) const noexcept;
};
std::ostream& operator<<(std::ostream& out, const reclaim_report& r);

// Ends goroutines that can never wake, by unwinding their stacks: destructors run, guards unlock, memory is freed. For a process that has to go
// on with a leak in it; the leak is a bug all the same. Only by this call: nothing else in the library ever does it.
// - Who: the goroutines of `r` that a second detection, which this call makes, finds proven or cycle again, in the same wait. Never `likely`, never
//   an OS thread. Root leaks first: who waits for one that is reclaimed is deferred, since a destructor may wake it; of a cycle one is taken.
// - Refused before anything is touched: a frame that would stop the unwinding (noexcept, catch (...), as of each member of an error_group, or a destructor that blocked), and what this
//   library cannot judge: an unknown personality routine, frames without unwind tables, a closure compiled with -fno-exceptions, a
//   stack with less than 12 KiB left.
// - The stack is unwound as pthread_cancel does it (_Unwind_ForcedUnwind): no catch clause runs, std::uncaught_exceptions() counts one.
//   A wait on a condition_variable locks its lock again first. Destructors may use all of stray, also block; a goroutine that blocks on its way
//   for ever is reported, and never reclaimed a second time. An exception that leaves a destructor ends the process, as always.
// - What a goroutine refers to must still exist: its destructors run now, however long it has waited.
// - Frames of code compiled with -fno-exceptions, and of C, are passed over: their destructors do not run (docs/guarantees.md).
// Blocks for a detection and at most `wait` for the ends. Any goroutine or OS thread may call it, also a callback of on_leak. Throws
// std::bad_alloc and std::runtime_error when there is no memory; goroutines taken until then go on to their end.
reclaim_report reclaim(const report& r, const reclaim_options& o = {});

// What keeps a blocked goroutine alive, for a person to read: from the root (a global, a thread's frames, a timer, ...) over blocks and
// stacks to the goroutine, one line a step; the first way that the tracer found, not the shortest. Says so when the goroutine runs, is
// leaked, or does not exist. Costs a detection of its own, and 8 bytes a heap block in its snapshot.
// Blocks until the answer is there. Any goroutine or OS thread may call it.
std::string why(std::uint64_t goroutine_id);

// Memory that the tracer cannot see (pointers kept by a device, XORed, ...): [p, p + bytes) is scanned as a root until the object ends
// or is assigned to.
class [[nodiscard]] root {
 public:
  root() noexcept = default;
  root(root&& other) noexcept : slot_(std::exchange(other.slot_, -1)) {}
  root& operator=(root&& other) noexcept {
    root ended(std::exchange(slot_, std::exchange(other.slot_, -1)));
    return *this;
  }
  ~root();
  void detach() noexcept { slot_ = -1; }  // keeps it for the process

 private:
  friend root add_root(const void* p, std::size_t bytes);
  explicit root(int slot) noexcept : slot_(slot) {}
  int slot_ = -1;
};
// Call it before the pointer is hidden. Throws std::length_error beyond 4096 roots.
root add_root(const void* p, std::size_t bytes);

// A handle that lives where the tracer looks: whatever the channel wakes stays alive until the pin ends.
class [[nodiscard]] pin {
 public:
  pin() noexcept = default;
  void detach() noexcept;  // keeps it for the process

 private:
  template <class T>
  friend pin keep_alive(const chan<T>& handle);
  struct held {
    virtual ~held() = default;
    held* next = nullptr;
  };
  template <class T>
  struct held_handle final : held {
    explicit held_handle(const chan<T>& h) : handle(h) {}
    chan<T> handle;
  };
  std::unique_ptr<held> held_;
};
template <class T>
pin keep_alive(const chan<T>& handle) {
  pin p;
  p.held_ = std::make_unique<pin::held_handle<T>>(handle);
  return p;
}

}  // namespace stray::leak

#pragma GCC visibility pop
