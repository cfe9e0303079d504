// For the tests of the second means of a stop.
#pragma once

#include <atomic>
#include <csignal>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace stray::trace::test {

inline void block_every_signal() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

// May a child trace its parent here?
inline bool may_trace() {
  std::atomic<int> tid{0};
  std::atomic<bool> quit{false};
  std::thread some([&] {
    tid.store(gettid());
    while (!quit.load()) std::this_thread::yield();
  });
  while (tid.load() == 0) std::this_thread::yield();
  pid_t child = fork();
  if (child == 0) _exit(::ptrace(PTRACE_SEIZE, tid.load(), nullptr, nullptr) == 0 ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  quit = true;
  some.join();
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace stray::trace::test
