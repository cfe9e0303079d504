// The background watch behind on_leak: one thread while there are subscriptions.
//
// 1. The thread starts with the first subscription and ends with the last: both decided under the lock, so there never are two.
// 2. A leak is a wait (wait_id). It is reported once to each subscription, at the first look at which it meets
//    the options; the key stays until the task has left that wait, so a verdict that is missing for a while brings no second call.
// 3. A subscription is freed by whoever comes last: its destructor, or the thread when it ended during its own call.
// 4. No call begins after at_exit has set `closing`: `calling` is set before `closing` is read, `closing` before `calling` is read.
// 5. What the thread holds while it waits for a detection leads to nothing of the user's but the callbacks.
// 6. In the child of a fork it goes on when the runtime starts afresh there (runtime/after_fork.h): daemon() may come after on_leak.
#include "leak/detect/watch.h"

#include <climits>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <new>
#include <set>
#include <stdexcept>
#include <utility>

#include <stray/condition_variable.hpp>
#include <stray/mutex.hpp>
#include "base/check.h"
#include "base/clock.h"
#include "base/printable.h"
#include "base/stale_words.h"
#include "base/sync_shim.h"
#include "base/syscalls.h"
#include "leak/detect/detector.h"
#include "leak/goroutines/host.h"
#include "leak/model/findings.h"
#include "leak/model/task_source.h"
#include "leak/report/make_report.h"

namespace stray::leak {

struct subscription::state {
  state* next = nullptr;
  std::function<void(const report&)> callback;
  options wanted;
  std::int64_t every_ns = 0, due_ns = 0;
  double share = 1;
  bool ended = false;
  std::uint64_t round = 0;  // the last one that has been delivered
  std::set<wait_id> reported;
  std::size_t kept = 0;  // of them, when they were last looked through
};

namespace {

using state = subscription::state;

constexpr std::int64_t no_time = std::numeric_limits<std::int64_t>::max();

struct watch {
  mutex lock;
  condition_variable changed;
  state* list = nullptr;
  state* called = nullptr;  // whose callback is running
  bool running = false;
  std::uint64_t round = 0;
  std::atomic<int> tid{0}, pid{0};
  std::atomic<std::uint32_t> calling{0}, closing{0};
};
constinit watch the_watch;

void at_exit() noexcept {
  watch& w = the_watch;
  if (w.pid.load() != base::sys::getpid()) return;  // the child of a fork: nobody calls back there
  w.closing.store(1);
  if (w.tid.load() == base::sys::gettid()) return;  // the callback called exit
  std::int64_t end = base::now_ns() + 1'000'000'000;
  for (std::int64_t left; w.calling.load() != 0 && (left = end - base::now_ns()) > 0;) {
    timespec t = base::to_timespec(left);
    base::futex_wait(w.calling, 1, &t);
  }
}

void forget_ended_waits(state& s) {
  if (s.reported.size() < 2 * s.kept + 1000) return;
  std::set<wait_id> left;
  for (const task_source* source : sources()) {
    for (const wait_ref& one : source->waiting()) {
      if (s.reported.count(one.wait) != 0) left.insert(one.wait);
    }
  }
  s.reported.swap(left);
  s.kept = s.reported.size();
}

findings take_new(state& s, const findings& found) {
  findings out;
  out.notes = found.notes;
  out.complete = found.complete;
  out.pause = found.pause;
  out.elapsed = found.elapsed;
  out.taken = found.taken;
  out.generation = found.generation;
  for (const finding& f : found.list) {
    if (is_wanted(f, s.wanted) && s.reported.insert(f.wait).second) out.list.push_back(f);
  }
  forget_ended_waits(s);
  return out;
}

void call(const state& s, const report& r) noexcept {
  watch& w = the_watch;
  w.calling.store(1);
  if (w.closing.load() == 0) {
    try {
      s.callback(r);
    } catch (const std::exception& e) {
      base::say("stray: a callback of on_leak threw: %s", base::printable(e.what()).c_str());
    } catch (...) {
      base::say("stray: a callback of on_leak threw something that is no std::exception");
    }
  }
  w.calling.store(0);
  base::futex_wake(w.calling, INT_MAX);
}

// Delivers to one due subscription that has not had this round; false: there is none. Adds what it cost.
bool deliver_one(std::unique_lock<mutex>& held, const findings& found, std::int64_t began_ns, std::int64_t& spent_ns) {
  watch& w = the_watch;
  state* s = w.list;
  while (s != nullptr && (s->round == w.round || s->due_ns > began_ns)) s = s->next;
  if (s == nullptr) return false;
  s->round = w.round;
  w.called = s;
  held.unlock();
  {
    std::int64_t begin = base::now_ns();
    findings fresh = take_new(*s, found);
    bool any = !fresh.list.empty();
    report r;
    if (any) r = make_report(fresh, s->wanted, &found);
    spent_ns += base::now_ns() - begin;
    if (any) call(*s, r);
  }
  held.lock();
  w.called = nullptr;
  s->due_ns = std::max(began_ns + s->every_ns, earliest_next_ns(began_ns, spent_ns, s->share));
  if (s->ended) delete s;
  w.changed.notify_all();
  return true;
}

[[gnu::noinline]] void look(std::unique_lock<mutex>& held, std::int64_t began_ns) {
  watch& w = the_watch;
  w.round++;
  std::int64_t budget = 0;
  bool unlimited = false;
  for (state* s = w.list; s != nullptr; s = s->next) {
    if (s->due_ns > began_ns) continue;
    budget = std::max<std::int64_t>(budget, s->wanted.pause_budget.count());
    unlimited = unlimited || s->wanted.pause_budget.count() <= 0;
  }
  held.unlock();
  base::clear_stack_below();
  std::shared_ptr<const findings> found = detect({}, unlimited ? 0 : budget);
  held.lock();
  std::int64_t spent_ns = found->elapsed.count();
  while (w.closing.load() == 0 && deliver_one(held, *found, began_ns, spent_ns)) {
  }
}

void* watch_body(void*) {
  watch& w = the_watch;
  std::unique_lock held(w.lock);
  w.tid.store(base::sys::gettid());
  while (w.list != nullptr && w.closing.load() == 0) {
    std::int64_t now = clock_of_timers_ns(), next = no_time;
    for (state* s = w.list; s != nullptr; s = s->next) next = std::min(next, s->due_ns);
    if (next > now) {
      w.changed.wait_for(held, std::chrono::nanoseconds(next - now));
      continue;
    }
    try {
      look(held, now);
    } catch (const std::exception& e) {  // no memory: later again
      if (!held.owns_lock()) held.lock();
      w.called = nullptr;
      for (state* s = w.list; s != nullptr; s = s->next) s->due_ns = std::max(s->due_ns, now + s->every_ns);
      w.changed.notify_all();
    }
  }
  w.running = false;
  w.tid.store(0);
  return nullptr;
}

void start_watch(watch& w) {
  static const int registered = std::atexit(at_exit);
  static_cast<void>(registered);
  w.pid.store(base::sys::getpid());
  w.running = true;
  try {
    pthread_detach(start_service_thread("stray-on-leak", watch_body));
  } catch (...) {
    w.running = false;
    throw;
  }
}

}  // namespace

void forget_watch() noexcept {
  watch& w = the_watch;
  if (w.pid.load() == 0) return;
  state* list = w.list;
  const std::uint64_t round = w.round;
  const std::uint32_t closing = w.closing.load();
  ::new (&w) watch;
  w.list = list;
  w.round = round;
  w.closing.store(closing);
  w.pid.store(base::sys::getpid());
}

void restart_watch() noexcept {
  watch& w = the_watch;
  if (w.pid.load() == 0) return;
  std::lock_guard held(w.lock);
  if (w.list == nullptr || w.running || w.closing.load() != 0) return;
  try {
    start_watch(w);
  } catch (const std::exception& e) {
    base::say("%s", e.what());
  }
}

bool watch_runs() noexcept {
  std::lock_guard held(the_watch.lock);
  return the_watch.running;
}

subscription on_leak(std::function<void(const report&)> callback, std::chrono::nanoseconds every, const options& o,
                     double cpu_share) {
  if (!callback) throw std::invalid_argument("stray::leak::on_leak: the callback is empty");
  if (!(cpu_share > 0 && cpu_share <= 1)) throw std::invalid_argument("stray::leak::on_leak: cpu_share is not in (0, 1]");
  start_runtime();
  auto s = std::make_unique<state>();
  s->callback = std::move(callback);
  s->wanted = o;
  s->every_ns = std::clamp<std::int64_t>(every.count(), 1'000'000, INT64_MAX / 4);
  s->due_ns = after_on_clock_of_timers_ns(s->every_ns);
  s->share = cpu_share;
  watch& w = the_watch;
  std::lock_guard held(w.lock);
  if (!w.running && w.closing.load() == 0) start_watch(w);
  s->next = w.list;
  w.list = s.get();
  w.changed.notify_all();
  return subscription(s.release());
}

subscription::~subscription() {
  watch& w = the_watch;
  if (state_ == nullptr || w.pid.load() != base::sys::getpid()) return;  // the child of a fork that has not used the runtime
  std::unique_lock held(w.lock);
  state** link = &w.list;
  while (*link != state_) link = &(*link)->next;
  *link = state_->next;
  w.changed.notify_all();  // it may have been the last
  if (w.called == state_ && (w.tid.load() == base::sys::gettid() || w.closing.load() != 0)) {
    state_->ended = true;  // freed after the call
    return;
  }
  while (w.called == state_) w.changed.wait(held);
  delete state_;
}

}  // namespace stray::leak
