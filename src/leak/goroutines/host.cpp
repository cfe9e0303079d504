#include "leak/goroutines/host.h"

#include <atomic>

#include "base/syscalls.h"
#include "runtime/current.h"
#include "runtime/deadlock.h"
#include "runtime/park.h"
#include "runtime/scheduler.h"
#include "runtime/service_thread.h"
#include "runtime/started.h"
#include "runtime/timer.h"

namespace stray::leak {

bool runtime_runs() noexcept { return runtime::started(); }
void start_runtime() { runtime::ensure_started(); }
pthread_t start_service_thread(const char* name, void* (*body)(void*)) { return runtime::start_thread(name, body, nullptr); }

namespace {
constinit std::atomic<int> its_tid{0};
}

void become_detector_thread() {
  its_tid.store(base::sys::gettid());
  runtime::register_passive_thread();
}
int detector_tid() noexcept { return its_tid.load(); }
void forget_detector_thread() noexcept { its_tid.store(0); }

std::int64_t clock_of_timers_ns() noexcept { return runtime::timer_now_ns(); }
std::int64_t after_on_clock_of_timers_ns(std::int64_t ns) noexcept { return runtime::timer_after_ns(ns); }

asker::asker() : self_((runtime::ensure_started(), runtime::current_task())) {}

void asker::prepare() noexcept { runtime::prepare_wait(self_, runtime::wait_reason::internal, nullptr, 0); }
void asker::wait() { runtime::park(self_); }

void asker::answer() noexcept {
  runtime::task* self = self_;  // this lies in its frame
  while (!runtime::try_claim(self)) base::sys::call(SYS_sched_yield);
  runtime::make_runnable(self);
}

int asker::tid() const noexcept { return self_->is_thread ? self_->tid.load() : 0; }

}  // namespace stray::leak
