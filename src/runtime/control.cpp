#include <stray/testing/control.hpp>

#include <ctime>

#include <stray/go.hpp>
#include "runtime/current.h"
#include "runtime/task.h"

namespace stray::testing {

namespace {
std::size_t parked_now() noexcept {
  std::size_t n = 0;
  base::slab<runtime::task>& all = runtime::tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    runtime::task* t = all.at(i);
    n += t->current_state() == runtime::state::waiting && !t->is_thread && t->reason != runtime::wait_reason::sleep;
  }
  return n;
}
}  // namespace

void until_parked(std::size_t n) {
  while (parked_now() < n) {
    if (runtime::current_worker() != nullptr) {
      yield();
    } else {
      timespec nap{0, 100'000};
      nanosleep(&nap, nullptr);
    }
  }
}

}  // namespace stray::testing
