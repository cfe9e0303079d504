#include "runtime/service_thread.h"

#include <csignal>
#include <string>
#include <system_error>

#include "base/stop_signal.h"
#include "base/sync_shim.h"

namespace stray::runtime {

pthread_t start_thread(const char* name, void* (*body)(void*), void* arg) {
  sigset_t block, before;
  sigfillset(&block);
  for (int ours : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGPROF, base::stop_signal()}) sigdelset(&block, ours);
  pthread_sigmask(SIG_SETMASK, &block, &before);
  pthread_t thread;
  int error = base::make_thread(&thread, name, body, arg);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    throw std::system_error(
        error, std::generic_category(),
        std::string("stray: cannot start thread ") + name + "; raise the limit on threads (ulimit -u, pids.max)");
  }
  return thread;
}

namespace {
constinit service_threads the_services{};
}
const service_threads& services() noexcept { return the_services; }
void forget_services() noexcept {
  for (std::atomic<int>& t : the_services.tid) t.store(0);
}

service_thread::service_thread() noexcept {
  const int self = base::thread_id();
  for (std::atomic<int>& t : the_services.tid) {
    int free = 0;
    if (!t.compare_exchange_strong(free, self)) continue;
    slot_ = &t;
    return;
  }
}
service_thread::~service_thread() {
  if (slot_ != nullptr) slot_->store(0);
}

}  // namespace stray::runtime
