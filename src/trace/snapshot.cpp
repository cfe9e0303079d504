#include "trace/snapshot.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <linux/futex.h>
#include <new>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/arch.h"
#include "base/clock.h"
#include "base/sync_shim.h"
#include "base/syscalls.h"
#include "trace/heap_lock.h"
#include "trace/memory_room.h"
#include "trace/open_files.h"
#include "trace/ptrace_stop.h"
#include "trace/seccomp.h"
#include "trace/snapshot_child.h"

namespace stray::trace {
namespace {

namespace sys = base::sys;
constexpr std::int64_t ms = 1'000'000;
constexpr long wait_all = 0x40000000;

struct tracer {
  bool ready = false;
  const char* refusal = nullptr;  // init_snapshot failed for ever
  stop_setup stop;
  heap_facts heap;
  thread_layout layout;
  bump memory;  // parent's: flags and maps of the pause, copies
  pause_copy* pause = nullptr;
  snapshot_page* page = nullptr;
};
constinit tracer the_tracer;
constinit std::atomic<bool> in_use{false};

const char* clone_refusal(long error) noexcept {
  switch (error) {
    case -EPERM:
      return "clone was refused (EPERM): a seccomp filter forbids it; allow clone for this service";
    case -ENOSYS:
      return "clone was refused (ENOSYS): a sandbox forbids it";
    case -EAGAIN:
      return "clone was refused (EAGAIN): a limit of processes is reached; raise pids.max or ulimit -u";
    case -ENOMEM:
      return "clone was refused (ENOMEM): no memory for the snapshot's page tables, or vm.overcommit_memory=2";
    default:
      return "clone was refused";
  }
}

constexpr const char* damaged_heap = "malloc's list of arenas is damaged: no snapshot";

// Stops all threads at a moment when nobody is inside malloc, or as near to that as can be had.
bool stop_quietly(const heap_facts& heap, note_log& notes, snapshot_outcome& out, std::int64_t& pause_start) noexcept {
  for (int round = 0; round < 4; round++) {
    bool last = round == 3;
    if (last && wait_heap_locks(heap, base::now_ns() + 50 * ms) == heap_locks::damaged) {
      notes.add() << damaged_heap;
      return false;
    }
    pause_start = base::now_ns();
    out.stops++;
    if (stop_threads(notes) != stop_result::done) {
      drop_heap_locks();
      return false;
    }
    const heap_locks locks = try_heap_locks(heap);
    if (locks == heap_locks::all || (locks == heap_locks::some && last)) return true;
    drop_heap_locks();
    release_threads();
    if (locks == heap_locks::damaged) {
      notes.add() << damaged_heap;
      return false;
    }
    base::nap(ms);
  }
  return false;
}

// Waits for the child, kills it when its time is over or memory is short. True if it ended by itself with an answer.
bool wait_child(long pid, const snapshot_request& request, std::int64_t time_limit_ns, std::uint64_t needed,
                snapshot_outcome& out) noexcept {
  snapshot_page& page = *the_tracer.page;
  std::int64_t deadline = base::now_ns() + time_limit_ns;
  int status = 0;
  bool killed = false, short_of_memory = false;
  for (;;) {
    if (page.done.load() == 0 && !killed) {
      timespec t{0, 10'000'000};
      sys::call(SYS_futex, sys::arg(&page.done), FUTEX_WAIT, 0, sys::arg(&t));
    }
    bool done = page.done.load() != 0 || killed;
    long r = sys::call(SYS_wait4, pid, sys::arg(&status), wait_all | (done ? 0 : WNOHANG), 0);
    if (r == -EINTR) continue;
    if (r == pid || (r < 0 && (done || sys::call(SYS_kill, pid, 0) == -ESRCH))) break;  // somebody else's wait(__WALL) took it
    short_of_memory =
        short_of_memory || (needed != 0 && room_in_groups(request.group_list, request.group_mount, needed) < needed);
    if (short_of_memory || base::now_ns() > deadline) {
      killed = true;
      sys::call(SYS_kill, pid, SIGKILL);
    }
  }
  text why(out.why, sizeof out.why);
  if (page.done.load() == 0) {
    close_files_of(pid);
    if (short_of_memory) {
      why << "the control group came too near to its memory limit: the snapshot was ended";
    } else if (killed) {
      why << "the snapshot took longer than its time limit of ";
      why.dec(static_cast<std::uint64_t>(time_limit_ns / ms)) << " ms and was ended";
    } else {
      why << "the snapshot's process ended early";
      if (WIFSIGNALED(status)) {
        why << " (signal ";
        why.dec(static_cast<std::uint64_t>(WTERMSIG(status))) << ")";
      }
    }
    return false;
  }
  if (page.failed == failed_memory) why << "the snapshot's process ran out of memory (ulimit -v, overcommit)";
  if (page.failed == failed_maps) why << "/proc/self/maps cannot be read";
  return page.failed == 0;
}

// A child that nobody can wait for might still write its answer when the next one does.
bool may_wait() noexcept { return sys::call(SYS_wait4, sys::getpid(), 0, wait_all | WNOHANG, 0) == -ECHILD; }

constexpr const char* thread_ran = "a thread that was only looked at has run";

void refuse(snapshot_outcome& out, const char* why) noexcept { text(out.why, sizeof out.why) << why; }

// The part with threads stopped. The child's process id, or < 0 with out.why.
long freeze_and_clone(const snapshot_request& request, child_input& input, snapshot_outcome& out) noexcept {
  tracer& t = the_tracer;
  note_log& notes = t.page->notes;
  std::int64_t pause_start = 0;
  if (!stop_quietly(t.heap, notes, out, pause_start)) {
    refuse(out, notes.used != 0 ? notes.notes[notes.used - 1].line : "threads cannot be stopped");
    return -1;
  }
  out.stop_ns = base::now_ns() - pause_start;
  long pid = -1;
  out.looked = looked_at();
  out.ran = looked_awake();
  if (request.only_if_asleep && out.ran != 0) {
    refuse(out, thread_ran);
  } else if (!t.pause->take(t.memory, input.ours[1], request.off, notes, t.page->doubts)) {
    refuse(out, "/proc/self/maps cannot be read");
  } else {
    input.threads = stopped_threads();
    input.held_locks = held_heap_locks();
    pid = clone_process();
    if (pid == 0) run_child(input);
    if (pid < 0) refuse(out, clone_refusal(pid));
    if (pid > 0) out.ran = have_run();
  }
  bool void_stop = !still_stopped();
  drop_heap_locks();
  release_threads();
  out.pause_ns = base::now_ns() - pause_start;
  bool woke = request.only_if_asleep && out.ran != 0;
  if (pid > 0 && (void_stop || woke)) {
    sys::call(SYS_kill, pid, SIGKILL);
    sys::call(SYS_wait4, pid, 0, wait_all, 0);
    close_files_of(pid);
    refuse(out, woke ? thread_ran : "the pause took longer than 5 s: threads ran on");
    return -1;
  }
  return pid;
}

}  // namespace

bool init_snapshot() noexcept {
  tracer& t = the_tracer;
  if (t.ready || t.refusal != nullptr) return t.ready;
  auto map = [](std::size_t bytes, int flags) {
    return sys::mmap(0, base::page_up(bytes), PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS);
  };
  if (t.page == nullptr) {
    long page = map(sizeof(snapshot_page), MAP_SHARED), pause = map(sizeof(pause_copy), MAP_PRIVATE);
    if ((page < 0 && page > -4096) || (pause < 0 && pause > -4096) || !t.memory.reserve(std::size_t{1} << 30) ||
        !t.memory.commit(std::size_t{32} << 20)) {
      t.refusal = "no memory for the tracer";
      return false;
    }
    t.page = reinterpret_cast<snapshot_page*>(page);
    t.pause = new (reinterpret_cast<void*>(pause)) pause_copy;
  }
  if (!init_stop(t.stop)) {
    t.refusal = "no real-time signal is free for stopping threads";
    return false;
  }
  if (!discover(t.heap, t.layout)) return false;  // what was not found now may be found later
  t.layout.signal_return = t.stop.signal_return;
  t.ready = true;
  return true;
}

void forget_snapshot() noexcept {
  tracer& t = the_tracer;
  forget_heap_locks();
  forget_ptrace();
  forget_stop();
  in_use.store(false);
  if (t.page == nullptr) return;
  // The parent's detector goes on writing there.
  const long at = sys::mmap(reinterpret_cast<std::uintptr_t>(t.page), base::page_up(sizeof(snapshot_page)),
                            PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED);
  if (at != sys::arg(t.page)) {
    t.ready = false;
    t.refusal = "no memory for the tracer";
  }
}

int stop_signal() noexcept { return the_tracer.stop.signal; }

snapshot_outcome take_snapshot(const snapshot_request& request) noexcept {
  snapshot_outcome out;
  tracer& t = the_tracer;
  if (!init_snapshot()) {
    refuse(out, t.refusal != nullptr ? t.refusal : "no file descriptor is free: the heap cannot be looked at");
    return out;
  }
  if (in_use.exchange(true)) {
    refuse(out, "another snapshot is being taken");
    return out;
  }
  snapshot_page& page = *t.page;
  page.notes.used = page.notes.dropped = 0;
  page.doubts.used = 0;
  page.doubts.full = false;
  page.done.store(0);
  const std::uint64_t signals = signals_sent();
  page.failed = page.unstopped = page.blind = page.unknown = 0;
  out.notes = &page.notes;
  out.doubts = &page.doubts;
  asm("mov %%fs:0, %0" : "=r"(t.heap.caller_fs));

  const auto page_at = reinterpret_cast<std::uintptr_t>(t.page);
  const auto pause_at = reinterpret_cast<std::uintptr_t>(t.pause);
  range own[3] = {{page_at, page_at + sizeof(snapshot_page)}, {pause_at, pause_at + sizeof(pause_copy)}, t.memory.where()};
  range never[67];  // own and the caller's: also left out of the copies made in the pause
  std::size_t nevers = 0;
  for (const range& r : own) never[nevers++] = r;
  for (const range& r : request.hidden) {
    if (nevers < 67) never[nevers++] = r;
  }
  child_input input{};
  input.request = &request;
  input.heap = &t.heap;
  input.layout = &t.layout;
  input.pause = t.pause;
  input.page = t.page;
  input.parent_pid = sys::getpid();
  input.caller_is_main = sys::gettid() == input.parent_pid;
  input.ours[1] = {never, nevers};
  input.ours[2] = request.hidden;
  // Bounds of our mappings: the address behind one may be the first of somebody's block.
  const auto tracer_at = reinterpret_cast<std::uintptr_t>(&t);
  const range records[3] = {{tracer_at, tracer_at + sizeof t}, stop_record(), base::reservation_record()};
  input.ours[3] = {records, 3};

  t.pause->look(t.memory, page.notes);
  long pid = -1;
  const process_memory used = memory_of_process();
  const std::uint64_t needed = room_before_clone(used);
  const std::uint64_t room = room_in_groups(request.group_list, request.group_mount, needed);
  open_files files = look_at_open_files();
  if (!may_wait()) {
    refuse(out, "wait4 is refused: a seccomp filter forbids it; allow wait4 for this service");
  } else if (room < needed) {
    text why(out.why, sizeof out.why);
    why << "the control group's memory limit leaves ";
    why.dec(room / mib) << " MiB, and a snapshot may take ";
    why.dec(needed / mib) << ": no snapshot";
  } else if (files.userfaultfd) {
    refuse(out, "a userfaultfd is open: a clone might wait for it for ever");
  } else if (files.direct_io && !fork_spares_direct_io()) {
    refuse(out, "a file is open with O_DIRECT: before Linux 6.5 a clone could corrupt what is being read");
  } else if (!prepare_stop(request.way, request.way_arg, page.notes)) {
    refuse(out, page.notes.used != 0 ? page.notes.notes[page.notes.used - 1].line : "the list of threads cannot be read");
  } else {
    input.ours[0] = stop_memory();
    pid = freeze_and_clone(request, input, out);
  }
  if (pid > 0) {
    for (const stopped_thread& x : stopped_threads()) out.threads += x.stopped ? 1 : 0;
    std::int64_t cloned = base::now_ns();
    // Threads that ran may have left links half written: the child may not end by itself.
    std::int64_t limit = out.ran != 0 && request.time_limit_ns > 10'000 * ms ? 10'000 * ms : request.time_limit_ns;
    // Without a limit nothing is opened while the child, which shares our descriptors, may need the last one.
    out.ok = wait_child(pid, request, limit, room == unlimited_room ? 0 : room_while_child_lives(used), out);
    out.child_ns = base::now_ns() - cloned;
    out.walk_ns = page.walk_ns;
    out.decide_ns = page.decide_ns;
    out.unstopped = page.unstopped;
    out.blind = page.blind;
    out.faults = page.faults;
    out.unknown = page.unknown;
    out.blocks = page.blocks;
    out.unknown_bytes = page.unknown_bytes;
  }
  out.signals = signals_sent() - signals;
  t.memory.reset();
  in_use.store(false);
  return out;
}

}  // namespace stray::trace
