#include "trace/ptrace_stop.h"

#include <cerrno>
#include <csignal>
#include <ctime>
#include <elf.h>
#include <linux/ptrace.h>
#include <sched.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <utility>

#include "base/sync_shim.h"
#include "base/syscalls.h"
#include "trace/seccomp.h"
#include "trace/vector_state.h"

namespace stray::trace {
namespace {

namespace sys = base::sys;

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t helper_limit = 5000 * ms, runnable_limit = 200 * ms;
constexpr std::size_t extended_room = 15 * 1024;  // of a thread's vector registers; AMX has 11,008 bytes
constexpr long clone_untraced = 0x00800000, clone_cleartid = 0x00200000, wait_all = 0x40000000;
constexpr long nobody = 0x3fffffff;  // beyond every process id

struct traced {
  ucontext_t context;
  alignas(64) unsigned char extended[extended_room];
};

struct helper {
  std::atomic<std::uint32_t> alive{0};  // cleared by the kernel at its end
  std::atomic<std::uint32_t> done{0};   // futex: 1 when it has attached what it can
  std::atomic<std::uint32_t>* released = nullptr;
  std::uint32_t epoch = 0;
  std::int64_t limit_ns = 0;
  int parent = 0;
  long pid = 0;    // of a helper not yet waited for
  long error = 0;  // the last refusal of ptrace
  std::size_t count = 0;
  slot* who[ptrace_batch];
  int hand_on[ptrace_batch];  // the signal that it had come upon
  bool seized[ptrace_batch], held[ptrace_batch];
  bool nobody_seized() const noexcept {
    for (std::size_t i = 0; i < count; i++) {
      if (seized[i]) return false;
    }
    return true;
  }
  traced state[ptrace_batch];
  alignas(64) unsigned char stack[32 * 1024];
};

struct {
  helper* all = nullptr;
  std::size_t used = 0;  // in this stop
  bool allowed = true;
  std::uint64_t filters = 0;  // of seccomp, when it was tried
  bool forbidden = false;     // by one of them
  bool refused = false;       // by the kernel, the last time
} p;

long ptrace(long what, long tid, long at = 0, long data = 0) noexcept { return sys::call(SYS_ptrace, what, tid, at, data); }

// --- the helper; pure -----------------------------------------------------------------------------------------------------------------

// As the kernel writes it for a signal handler, so that who reads it need not know where it comes from.
bool read_registers(int tid, traced& to, std::uintptr_t& fs_base, std::uintptr_t& gs_base) noexcept {
  user_regs_struct r{};
  iovec general{&r, sizeof r}, extended{to.extended, sizeof to.extended};
  if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, sys::arg(&general)) != 0) return false;
  auto& g = to.context.uc_mcontext.gregs;
  const std::pair<int, unsigned long long> all[] = {
      {REG_R8, r.r8},   {REG_R9, r.r9},   {REG_R10, r.r10}, {REG_R11, r.r11}, {REG_R12, r.r12}, {REG_R13, r.r13},
      {REG_R14, r.r14}, {REG_R15, r.r15}, {REG_RDI, r.rdi}, {REG_RSI, r.rsi}, {REG_RBP, r.rbp}, {REG_RBX, r.rbx},
      {REG_RDX, r.rdx}, {REG_RAX, r.rax}, {REG_RCX, r.rcx}, {REG_RSP, r.rsp}, {REG_RIP, r.rip}};
  for (const auto& [index, value] : all) g[index] = static_cast<greg_t>(value);
  fs_base = r.fs_base;
  gs_base = r.gs_base;
  if (ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, sys::arg(&extended)) != 0) {
    extended.iov_len = sizeof to.extended;
    if (ptrace(PTRACE_GETREGSET, tid, NT_PRFPREG, sys::arg(&extended)) != 0) return false;
  }
  if (extended.iov_len >= sizeof to.extended || extended.iov_len < legacy_bytes) return false;  // there may be more
  *reinterpret_cast<area_size*>(to.extended + area_size::at) = {area_size::is_extended,
                                                                static_cast<std::uint32_t>(extended.iov_len)};
  to.context.uc_mcontext.fpregs = reinterpret_cast<fpregset_t>(to.extended);
  return true;
}

// True when thread i need not be waited for any longer.
bool try_hold(helper& h, std::size_t i) noexcept {
  slot& x = *h.who[i];
  int status = 0;
  long r = sys::call(SYS_wait4, x.tid.load(), sys::arg(&status), wait_all | WNOHANG, 0);
  if (r == 0 || (r < 0 && r != -ECHILD)) return false;  // it is given up in the end
  if (r < 0 || !WIFSTOPPED(status)) {                   // it has ended
    h.seized[i] = false;
    x.move(held_back, gone);
    return true;
  }
  h.hand_on[i] = status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status);
  h.held[i] = true;
  std::uintptr_t fs_base = 0, gs_base = 0;
  if (!read_registers(x.tid.load(), h.state[i], fs_base, gs_base)) return true;
  x.context = &h.state[i].context;
  x.fs_base = fs_base;
  x.gs_base = gs_base;
  x.move(held_back, stopped);
  return true;
}

void attach(helper& h) noexcept {
  for (std::size_t i = 0; i < h.count; i++) {
    const int tid = h.who[i]->tid.load();
    long r = ptrace(PTRACE_SEIZE, tid);
    h.seized[i] = r == 0;
    if (r == -ESRCH) h.who[i]->move(held_back, gone);
    if (r != 0 && r != -ESRCH) h.error = r;
    if (r == 0) ptrace(PTRACE_INTERRUPT, tid);
  }
  const std::int64_t start = sys::now_ns();
  bool settled[ptrace_batch] = {};
  for (;;) {
    const std::int64_t waited = sys::now_ns() - start;  // before the look: this process itself may be kept from its processor
    bool due = false, runnable = false;
    for (std::size_t i = 0; i < h.count; i++) {
      if (!h.seized[i] || settled[i]) continue;
      settled[i] = try_hold(h, i);
      task_look look;
      due = due || !settled[i];
      runnable = runnable || (!settled[i] && look_at_task_of(h.parent, h.who[i]->tid.load(), look) &&
                              (look.state == 'R' || look.state == 't'));
    }
    if (!due || waited > (runnable ? runnable_limit : h.limit_ns)) return;
    base::nap(50'000);
  }
}

void helper_body(helper& h) noexcept {
  sys::call(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, SIGKILL);
  if (static_cast<int>(sys::call(SYS_getppid)) != h.parent) sys::exit_group(1);
  std::uint64_t no_core[2] = {0, 0};
  sys::call(SYS_prlimit64, 0, 4 /* RLIMIT_CORE */, sys::arg(no_core), 0);
  attach(h);
  h.done.store(1);
  base::futex_wake(h.done, 1);
  const std::int64_t deadline = sys::now_ns() + helper_limit;
  for (;;) {
    const std::uint32_t seen = h.released->load();
    const std::int64_t left_ns = deadline - sys::now_ns();
    if (seen == h.epoch) break;
    if (left_ns <= 0) {
      for (std::size_t i = 0; i < h.count; i++) h.who[i]->move(stopped, left);
      break;
    }
    timespec rest{left_ns / (1000 * ms), left_ns % (1000 * ms)};
    base::futex_wait(*h.released, seen, &rest);
  }
  for (std::size_t i = 0; i < h.count; i++) {
    if (h.held[i]) ptrace(PTRACE_DETACH, h.who[i]->tid.load(), 0, h.hand_on[i]);
  }
  sys::exit_group(0);  // lets go of those that were seized and never stopped
}

// Not inlined, so that the child's only way on is `helper_body` on its own stack.
[[gnu::noinline]] long start_helper(helper& h) noexcept {
  long result = SYS_clone;
  const long flags = CLONE_VM | CLONE_FS | CLONE_FILES | clone_untraced | clone_cleartid;
  register helper* self asm("r12") = &h;
  register void (*body)(helper&) noexcept asm("r13") = &helper_body;
  register std::atomic<std::uint32_t>* clear asm("r10") = &h.alive;
  asm volatile(
      "xor %%r8d, %%r8d\n\t"
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r12, %%rdi\n\t"
      "call *%%r13\n\t"
      "hlt\n"
      "1:"
      : "+a"(result)
      : "D"(flags), "S"(h.stack + sizeof h.stack), "d"(0L), "r"(clear), "r"(self), "r"(body)
      : "rcx", "r8", "r11", "memory");
  return result;
}

// --- its parent -----------------------------------------------------------------------------------------------------------------------

// False while it has not ended.
bool reap(helper& h) noexcept {
  if (h.pid == 0) return true;
  long r = sys::call(SYS_wait4, h.pid, 0, wait_all | WNOHANG, 0);
  if (r == 0 || r == -EINTR) return false;
  h.pid = 0;
  return true;
}

const char* reason_of(long error) noexcept {
  switch (error) {
    case -EPERM:
      return "ptrace was refused (EPERM): yama, a debugger or a sandbox";
    case -ENOSYS:
      return "ptrace was refused (ENOSYS): a sandbox forbids it";
    default:
      return "it did not stop for ptrace either";
  }
}

bool ask_nobody(void*) noexcept { return ptrace(PTRACE_SEIZE, nobody) == -ESRCH; }

}  // namespace

std::size_t ptrace_memory_bytes() noexcept { return ptrace_batches * sizeof(helper); }

void init_ptrace(void* memory) noexcept { p.all = static_cast<helper*>(memory); }

void prepare_ptrace() noexcept {
  std::uint64_t filters = seccomp_filters();
  if (filters != p.filters) p.forbidden = filters != 0 && !survives(ask_nobody, nullptr);
  p.filters = filters;
}

const char* ptrace_stop(slice<slot*> who, std::atomic<std::uint32_t>& released, std::uint32_t epoch,
                        std::int64_t limit_ns) noexcept {
  if (!p.allowed || p.all == nullptr) return "ptrace is switched off";
  if (p.forbidden) return "ptrace was refused: a seccomp filter forbids it";
  if (p.used == ptrace_batches) return "too many threads for ptrace";
  helper& h = p.all[p.used];
  if (!reap(h)) return "an earlier helper for ptrace has not ended";
  h.released = &released;
  h.epoch = epoch;
  h.limit_ns = limit_ns;
  h.parent = sys::getpid();
  h.error = 0;
  h.done.store(0);
  h.alive.store(1);
  h.count = who.size < ptrace_batch ? who.size : ptrace_batch;
  for (std::size_t i = 0; i < h.count; i++) {
    h.who[i] = who[i];
    h.hand_on[i] = 0;
    h.seized[i] = h.held[i] = false;
  }
  std::uint64_t all = ~std::uint64_t{0}, before = 0;
  sys::call(SYS_rt_sigprocmask, SIG_SETMASK, sys::arg(&all), sys::arg(&before), 8);
  const long pid = start_helper(h);
  sys::call(SYS_rt_sigprocmask, SIG_SETMASK, sys::arg(&before), 0, 8);
  if (pid < 0) {
    h.alive.store(0);
    return "no process for ptrace: clone was refused";
  }
  h.pid = pid;
  p.used++;
  const std::int64_t deadline = sys::now_ns() + runnable_limit + 50 * ms;
  while (h.done.load() == 0 && h.alive.load() != 0 && sys::now_ns() < deadline) {
    timespec t{0, ms};
    base::futex_wait(h.done, 0, &t);
  }
  if (p.used == 1) p.refused = h.error == -EPERM && h.nobody_seized();  // a second helper meets the first one's threads
  return reason_of(h.error);
}

bool ptrace_may_do() noexcept { return p.allowed && p.all != nullptr && !p.forbidden && !p.refused; }

bool ptrace_holds() noexcept {
  for (std::size_t i = 0; i < p.used; i++) {
    if (p.all[i].alive.load() == 0) return false;
  }
  return true;
}

void ptrace_end() noexcept {
  const std::int64_t deadline = sys::now_ns() + 1000 * ms;
  for (std::size_t i = 0; i < p.used; i++) {
    while (!reap(p.all[i]) && sys::now_ns() < deadline) base::nap(50'000);
  }
  p.used = 0;
}

void forget_ptrace() noexcept {
  p.used = 0;
  for (std::size_t i = 0; p.all != nullptr && i < ptrace_batches; i++) p.all[i].pid = 0;
}

bool allow_ptrace(bool allow) noexcept {
  bool before = p.allowed;
  p.allowed = allow;
  return before;
}

}  // namespace stray::trace
