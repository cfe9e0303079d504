// The child's side of a snapshot. Pure: the process around it may be in any state.
#include "trace/snapshot_child.h"

#include <csignal>
#include <fcntl.h>
#include <linux/futex.h>

#include "base/arch.h"
#include "base/syscalls.h"
#include "trace/fault_guard.h"
#include "trace/kernel_sigaction.h"
#include "trace/roots.h"

namespace stray::trace {
namespace {

namespace sys = base::sys;

// Nothing of the program's may run here: not its handlers (a crash reporter), not its signals.
void detach(int parent_pid) noexcept {
  std::uint64_t all = ~std::uint64_t{0};
  sys::call(SYS_rt_sigprocmask, SIG_SETMASK, sys::arg(&all), 0, 8);
  kernel_sigaction plain{};
  for (int signal = 1; signal <= 64; signal++) sys::call(SYS_rt_sigaction, signal, sys::arg(&plain), 0, 8);
  std::uint64_t no_core[2] = {0, 0};
  sys::call(SYS_prlimit64, 0, 4 /* RLIMIT_CORE */, sys::arg(no_core), 0);
  sys::call(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, SIGKILL);
  if (static_cast<int>(sys::call(SYS_getppid)) != parent_pid) sys::exit_group(1);
  int fd = sys::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd >= 0) {
    sys::write(fd, "1000", 4);
    sys::close(fd);
  }
}

// Pages that the program guards with protection keys are readable here.
void open_protection_keys() noexcept {
  unsigned r[4] = {};
  base::cpuid(7, 0, r);
  if ((r[2] >> 4 & 1) == 0) return;  // OSPKE
  asm volatile("wrpkru" : : "a"(0), "c"(0), "d"(0));
}

// What was not found when the process started, since a system call was refused then. More is a root for it, so nothing is proven wrongly.
void say_what_is_unknown(const child_input& input) noexcept {
  if (input.layout->known) return;
  input.page->unknown++;
  input.page->notes.add()
      << "where threads have their stacks could not be found (is sched_getaffinity refused?): all of them is a root";
}

}  // namespace

void run_child(const child_input& input) noexcept {
  detach(input.parent_pid);
  guard_faults(input.page->notes);
  open_protection_keys();
  std::int64_t begin = sys::now_ns();
  snapshot_page& page = *input.page;
  const snapshot_request& request = *input.request;
  bump memory;
  memory.reserve(std::size_t{1} << 38);
  image in;
  in.who = &request.who;
  in.off = request.off;
  in.memory = &memory;
  in.notes = &page.notes;
  in.doubts = &page.doubts;
  in.threads = input.threads;
  in.saved = input.pause->saved();
  in.parent_pid = input.parent_pid;
  in.caller_is_main = input.caller_is_main;
  in.blind = input.pause->blind();
  for (const stopped_thread& t : in.threads) in.looked += t.looked ? 1 : 0;
  in.main_stack_end = input.layout->main_stack_end;
  in.tcb_bytes = input.layout->known ? input.layout->tcb_to_end : 0;
  in.ours.push(memory, memory.where());
  for (const slice<const range>& some : input.ours) {
    for (const range& r : some) in.ours.push(memory, r);
  }
  if (!in.blocks.init(memory) || !in.map.read(memory)) {
    page.failed = memory.exhausted() ? failed_memory : failed_maps;
  } else {
    say_what_is_unknown(input);
    in.pages.open();
    native_stacks stacks;
    stacks.find(in, *input.layout, input.heap->caller_fs);
    for (stopped_thread& t : in.threads) {
      if (t.looked) t.fs_base = stacks.tcb_of(t.tid, in.parent_pid);  // which no signal frame tells
    }
    heap_sources[input.heap->source].walk(in, *input.heap, input.held_locks);
    in.roles = {memory.array<thread_role>(in.threads.size + 1), in.threads.size};
    if (in.roles.data != nullptr) {
      if (request.who.prepare != nullptr) request.who.prepare(request.who.self, in);
      find_roots(in, *input.layout, stacks, *input.pause, input.heap->caller_fs);
    }
    in.pages.close();
    std::int64_t walked = sys::now_ns();
    page.walk_ns = walked - begin;
    page.blocks = in.blocks.blocks();
    page.unknown_bytes = in.unknown_bytes;
    page.unstopped = in.unstopped;
    if (!memory.exhausted()) request.decide(request.arg, in);
    page.faults = faults_met();
    page.blind = in.blind + page.faults;
    page.decide_ns = sys::now_ns() - walked;
    if (memory.exhausted()) page.failed = failed_memory;
  }
  page.done.store(1);
  sys::call(SYS_futex, sys::arg(&page.done), FUTEX_WAKE, 1);
  sys::exit_group(0);
}

}  // namespace stray::trace
