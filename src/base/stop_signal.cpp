#include "base/stop_signal.h"

#include <atomic>
#include <csignal>

namespace stray::base {

int stop_signal() noexcept {
  static std::atomic<int> chosen{0};
  int number = chosen.load();
  if (number != 0) return number;
  number = SIGRTMIN;
  for (int candidate = SIGRTMIN; candidate <= SIGRTMAX; candidate++) {
    struct sigaction now {};
    if (sigaction(candidate, nullptr, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL) {
      number = candidate;
      break;
    }
  }
  int none = 0;
  return chosen.compare_exchange_strong(none, number) ? number : none;
}

}  // namespace stray::base
