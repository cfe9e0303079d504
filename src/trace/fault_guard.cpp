#include "trace/fault_guard.h"

#include <csignal>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/arch.h"
#include "base/syscalls.h"
#include "trace/kernel_sigaction.h"

extern "C" [[gnu::visibility("hidden")]] void stray_child_signal_return() noexcept;
asm(R"(
    .text
    .globl stray_child_signal_return
    .hidden stray_child_signal_return
    .type stray_child_signal_return, @function
stray_child_signal_return:
    movl $15, %eax
    syscall
    .size stray_child_signal_return, . - stray_child_signal_return
)");

namespace stray::trace {
namespace {

namespace sys = base::sys;

constexpr unsigned most = 1000, named = 3;
constinit note_log* log_of_faults = nullptr;
constinit volatile unsigned faults = 0;

void on_fault(int signal, siginfo_t* info, void*) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const std::uintptr_t page = at & ~(base::page_size - 1);
  const unsigned n = faults + 1;
  faults = n;
  if (n <= named) {
    text line = log_of_faults->add();
    line << "memory at ";
    line.hex(at) << " is not there, and the snapshot would have read it: a bug of stray's, please report it";
  }
  long put = page == 0 || n > most
                 ? -1
                 : sys::mmap(page, base::page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
  if (put >= 0) return;
  kernel_sigaction fatal{};  // met again at once, and then the end
  sys::call(SYS_rt_sigaction, signal, sys::arg(&fatal), 0, 8);
}

}  // namespace

void guard_faults(note_log& notes) noexcept {
  log_of_faults = &notes;
  faults = 0;
  kernel_sigaction action{reinterpret_cast<std::uintptr_t>(&on_fault), SA_SIGINFO | SA_NODEFER | 0x04000000 /* SA_RESTORER */,
                          reinterpret_cast<std::uintptr_t>(&stray_child_signal_return), 0};
  std::uint64_t these = 0;
  for (int signal : {SIGSEGV, SIGBUS}) {
    sys::call(SYS_rt_sigaction, signal, sys::arg(&action), 0, 8);
    these |= std::uint64_t{1} << (signal - 1);
  }
  sys::call(SYS_rt_sigprocmask, SIG_UNBLOCK, sys::arg(&these), 0, 8);
}

unsigned faults_met() noexcept { return faults; }

}  // namespace stray::trace
