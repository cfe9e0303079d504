#include <stray/testing/control.hpp>

#include <atomic>
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
    // order: a hint, asked again and again
    n += t->current_state() == runtime::state::waiting && !t->is_thread &&
         std::atomic_ref(t->reason).load(std::memory_order_relaxed) != runtime::wait_reason::sleep;
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
