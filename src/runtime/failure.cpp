#include "runtime/failure.h"

#include <csignal>
#include <cstdlib>
#include <exception>
#include <ucontext.h>
#include <unistd.h>

#include "base/check.h"
#include "base/first_failure.h"
#include "base/upcalls.h"
#include "runtime/current.h"
#include "runtime/panic_text.h"
#include "runtime/stack.h"

namespace stray::runtime {

namespace {

bool terminate_installed = false, segv_installed = false;
std::terminate_handler previous_terminate = nullptr;
// Not the whole struct sigaction: the library fills its mask with what lay on the stack, and that would be a root.
struct {
  void (*plain)(int) = nullptr;
  void (*with_info)(int, siginfo_t*, void*) = nullptr;
} previous_segv;

[[noreturn]] void on_terminate() {
  task* t = current_task_or_null();
  if (t == nullptr || t->is_thread) {
    base::first_failure(base::failure::of_others);  // who ends the process meanwhile waits for the handler
    if (previous_terminate != nullptr) previous_terminate();
    std::abort();
  }
  if (!base::first_failure()) base::finish_report();  // it may be what() that has thrown
  base::end_when_stuck();                             // already here: what() is the program's
  print_panic();
  upcall::dump_goroutines(STDERR_FILENO);
  _exit(2);
}

// A wild pointer may lead to any guard page, from any stack: the one that overflows is the goroutine's own, and its stack pointer has come to
// the end of it. A probe or a frame may reach some pages further.
bool is_overflow(std::uintptr_t at, std::uintptr_t sp, const task* t, base::range* stack) noexcept {
  constexpr std::uintptr_t near = 16 << 10;
  return t != nullptr && !t->is_thread && in_guard(at, stack) && t->stack_lo == stack->lo && sp + near > stack->lo &&
         sp < at + near;
}

void on_segv(int signal, siginfo_t* info, void* context) {
  base::range stack;
  auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
  task* t = current_task_or_null();
  auto sp = static_cast<std::uintptr_t>(static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_RSP]);
  if (is_overflow(at, sp, t, &stack)) {
    if (!base::first_failure()) _exit(2);
    base::say(
        "fatal error: stack overflow\n\ngoroutine %llu: stack overflow, %zu KiB; raise it by go({.stack_size=...}) or "
        "STRAY_STACK_SIZE\n",
        static_cast<unsigned long long>(t->id), stack.size() >> 10);
    if (worker* w = current_worker()) w->fault_context = context;
    base::end_when_stuck(5);  // the dump allocates, and the fault may have come inside malloc
    upcall::dump_goroutines(STDERR_FILENO);
    _exit(2);
  }
  if (previous_segv.with_info != nullptr) {
    previous_segv.with_info(signal, info, context);
  } else if (previous_segv.plain != nullptr) {
    previous_segv.plain(signal);
  } else {
    base::wait_for_failure();  // it may be about to end: what runs beside exit meets destroyed objects
    struct sigaction plain {};
    plain.sa_handler = SIG_DFL;
    sigaction(signal, &plain, nullptr);  // the faulting instruction runs again and ends the process as without us
  }
}

}  // namespace

void install_failure_handlers() noexcept {
  if (std::get_terminate() != on_terminate && !terminate_installed) previous_terminate = std::set_terminate(on_terminate);
  terminate_installed = true;
  struct sigaction ours {};
  ours.sa_sigaction = on_segv;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&ours.sa_mask);
  struct sigaction before {};
  sigaction(SIGSEGV, nullptr, &before);
  if (segv_installed && before.sa_handler != SIG_DFL) return;  // of a child of a fork: ours is there, or the program's by now
  segv_installed = true;
  sigaction(SIGSEGV, &ours, &before);
  if (before.sa_flags & SA_SIGINFO) {
    if (before.sa_sigaction != on_segv) previous_segv.with_info = before.sa_sigaction;
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    previous_segv.plain = before.sa_handler;
  }
}

// In the reservation, not in a mapping of its own: the signal frame of an idle worker that is stopped holds stale registers, and a plain
// mapping would be a root.
base::range use_alternate_stack() noexcept {
  constexpr std::size_t size = 512 << 10;  // the dump runs on it; untouched pages cost nothing
  base::range where = base::carve(size);
  if (!base::commit(where.lo, size)) return {};
  stack_t s{};
  s.ss_sp = reinterpret_cast<void*>(where.lo);
  s.ss_size = size;
  sigaltstack(&s, nullptr);
  return where;
}

}  // namespace stray::runtime
