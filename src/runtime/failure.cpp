#include "runtime/failure.h"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <exception>
#include <new>
#include <string>
#include <typeinfo>
#include <unistd.h>

#include "base/check.h"
#include "base/first_failure.h"
#include "base/printable.h"
#include "base/upcalls.h"
#include "runtime/current.h"
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

// what() may hold what a client has sent. Lines behind the first are indented, as Go does, so that none looks like one of the dump.
void print_panic(const char* text) noexcept {
  try {
    std::string shown;
    for (char c : base::printable_lines(text)) {
      shown += c;
      if (c == '\n') shown += '\t';
    }
    base::say("panic: %s\n", shown.c_str());
  } catch (const std::bad_alloc&) {
    base::say("panic: there is no memory for its text\n");
  }
}

void print_exception() noexcept {
  std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) {
    base::say("panic: std::terminate without an exception\n");
    return;
  }
  try {
    throw;
  } catch (const std::exception& e) {
    print_panic(e.what());
  } catch (const char* text) {
    print_panic(text);
  } catch (...) {
    int status = 0;
    char* name = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
    base::say("panic: an exception of type %s\n", name != nullptr ? name : type->name());
    std::free(name);
  }
}

[[noreturn]] void on_terminate() {
  task* t = current_task_or_null();
  if (t == nullptr || t->is_thread) {
    base::first_failure(base::failure::of_others);  // who ends the process meanwhile waits for the handler
    if (previous_terminate != nullptr) previous_terminate();
    std::abort();
  }
  if (!base::first_failure()) _exit(2);
  base::end_when_stuck();  // already here: what() is the program's
  print_exception();
  upcall::dump_goroutines(STDERR_FILENO);
  _exit(2);
}

void on_segv(int signal, siginfo_t* info, void* context) {
  base::range stack;
  auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
  task* t = current_task_or_null();
  if (in_guard(at, &stack) && t != nullptr) {
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
