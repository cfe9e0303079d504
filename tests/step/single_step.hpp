// Runs code one instruction at a time on the calling OS thread and calls a function at every instruction boundary.
//
//   std::uint64_t n = single_step::run([](const ucontext_t& at) { ... }, [] { the code; });   // n: instructions stepped
//
// 1. The function runs in a SIGTRAP handler on an alternate stack of its own mapping, so the stepped stack is as the code left it: live from
//    128 bytes (the red zone) below the stack pointer in `at`. It is not stepped itself, may spin, and must not throw.
// 2. int3 starts and ends the stepping: the handler flips the trap flag in the saved flags. Setting it with pushfq would write into the
//    stack that is watched.
// 3. The code may make system calls (one step each), throw (run passes it on), and be stopped by other signals (their handlers are not
//    stepped). It must not block SIGTRAP, as starting a thread and fork do inside libc: a trap while it is blocked ends the process.
// 4. Several threads may step at the same time. SIGTRAP stays ours from the first run on.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sys/mman.h>
#include <type_traits>
#include <ucontext.h>

namespace single_step {

namespace detail {

constexpr greg_t trap_flag = 0x100;
constexpr std::size_t handler_stack = std::size_t{256} << 10;

struct stepping {
  void (*call)(void* each, const ucontext_t& at);
  void* each;
  std::uint64_t instructions = 0;
  void* stack = nullptr;
  stack_t stack_before{};

  void begin();
  void end() noexcept;
};
inline constinit thread_local stepping* current = nullptr;

inline void on_trap(int, siginfo_t* info, void* context) {
  auto& at = *static_cast<ucontext_t*>(context);
  stepping* s = current;
  if (s == nullptr) {  // not one of ours: what would have happened without us
    std::signal(SIGTRAP, SIG_DFL);
    std::raise(SIGTRAP);
    return;
  }
  if (info->si_code != TRAP_TRACE) {  // int3
    at.uc_mcontext.gregs[REG_EFL] ^= trap_flag;
    return;
  }
  int error = errno;
  s->instructions++;
  s->call(s->each, at);
  errno = error;
}

inline void stepping::begin() {
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGTRAP, &action, nullptr) == 0;
  }();
  stack = mmap(nullptr, handler_stack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack_t ours{};
  ours.ss_sp = stack;
  ours.ss_size = handler_stack;
  if (!installed || stack == MAP_FAILED || sigaltstack(&ours, &stack_before) != 0) std::abort();
  current = this;
  asm volatile("int3" ::: "memory");
}

inline void stepping::end() noexcept {
  asm volatile("int3" ::: "memory");
  current = nullptr;
  sigaltstack(&stack_before, nullptr);
  munmap(stack, handler_stack);
}

}  // namespace detail

template <class Each, class Body>
[[gnu::noinline]] std::uint64_t run(Each&& each, Body&& body) {
  using each_type = std::remove_reference_t<Each>;
  detail::stepping s{[](void* e, const ucontext_t& at) { (*static_cast<each_type*>(e))(at); },
                     const_cast<void*>(static_cast<const void*>(&each))};
  {
    struct stepped {
      detail::stepping& s;
      explicit stepped(detail::stepping& of) : s(of) { s.begin(); }
      ~stepped() { s.end(); }
    } until_here(s);
    body();
  }
  return s.instructions;
}

}  // namespace single_step
