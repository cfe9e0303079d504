// For the tests of the second means of a stop.
#pragma once

#include <csignal>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace stray::trace::test {

inline void block_every_signal() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

// May a child trace its parent here?
inline bool may_trace() {
  const pid_t parent = getpid(), child = fork();
  if (child == 0) _exit(::ptrace(PTRACE_SEIZE, parent, nullptr, nullptr) == 0 ? 0 : 1);
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace stray::trace::test
