#include "base/modules.h"

#include <mutex>
#include <pthread.h>

#include "base/spin_lock.h"

namespace stray::base {

namespace {

constinit spin_lock walking;

#if !defined(STRAY_SIM)
[[gnu::constructor(102)]] void keep_forks_out() noexcept {
  pthread_atfork([] { walking.lock(); }, [] { walking.unlock(); }, [] { walking.unlock(); });
}
#endif

}  // namespace

int each_module(int (*f)(dl_phdr_info*, std::size_t, void*), void* arg) {
  std::lock_guard hold(walking);
  return dl_iterate_phdr(f, arg);
}

}  // namespace stray::base
