// A waiter is withdrawn (sync/withdraw.h) while others wake it: one of the two gets it, and what it waited on goes on.
#include "sim.h"

#include <atomic>
#include <mutex>
#include <shared_mutex>

#include <stray/stray.hpp>
#include "runtime/current.h"
#include "runtime/divert.h"
#include "runtime/park.h"
#include "runtime/scheduler.h"
#include "sync/withdraw.h"

namespace {

namespace rt = stray::runtime;

struct waiter {
  std::atomic<rt::task*> record{nullptr};
  std::uint64_t id = 0;
  void here() {
    id = stray::goroutine_id();
    record = rt::current_task();
  }
};

void ends(rt::task* t) {  // as after an unwinding
  rt::retire(t);
  rt::leave_for_ever(t);
}

// What leak::reclaim does with one that waits for this reason. false: it does not (any more).
bool end(waiter& w, rt::wait_reason reason) {
  rt::task* t = w.record;
  if (t == nullptr) return false;
  stray::wait_id wait(w.id, rt::word::seq_of(t->word.load()));
  if (!rt::begin_inspection(t, wait)) return false;
  bool mine = t->reason == reason && stray::sync::withdraw(t, wait);
  if (mine) rt::divert(t, ends);
  rt::end_inspection(t);
  if (mine) rt::make_runnable(t);
  return mine;
}

template <std::size_t N>
int end_some(waiter (&all)[N], rt::wait_reason reason) {
  int n = 0;
  for (int tries = 0; tries < 3; tries++) {
    n += end(all[sim::random(N)], reason);
    stray::yield();
  }
  return n;
}

void until_ended() {
  while (stray::num_goroutine() != 0) stray::yield();
}

template <class F>
void values_go_to_those_who_stay(rt::wait_reason reason, F receive) {
  auto a = stray::make_chan<int>(), b = stray::make_chan<int>();
  waiter all[3];
  std::atomic<int> got{0};
  int ended = 0, sent = 0;
  for (waiter& w : all) {
    stray::go([&] {
      w.here();
      receive(a, b);
      got++;
    });
  }
  sim::thread ender([&] { ended = end_some(all, reason); });
  sim::thread sender([&] {
    for (int i = 0; i < 4; i++) sent += (i % 2 == 0 ? a : b).try_send(1), stray::yield();
  });
  ender.join();
  sender.join();
  while (stray::num_goroutine() != 0) sent += a.try_send(1), stray::yield();
  SIM_CHECK(got == sent && got + ended == 3);
}

SIM_TEST(withdraw, from_a_channel) {
  values_go_to_those_who_stay(rt::wait_reason::chan_receive, [](auto& a, auto&) { a.recv(); });
}
SIM_TEST(withdraw, from_a_select) {
  values_go_to_those_who_stay(rt::wait_reason::select, [](auto& a, auto& b) {
    stray::select(stray::on_recv(b, [] {}), stray::on_recv(a, [] {}), stray::on_recv(a, [] {}));
  });
}

SIM_TEST(withdraw, from_a_mutex) {
  stray::mutex m;
  waiter all[3];
  std::atomic<int> got{0};
  int ended = 0;
  m.lock();
  for (waiter& w : all) {
    stray::go([&] {
      w.here();
      std::lock_guard held(m);
      got++;
      stray::yield();
    });
  }
  sim::thread ender([&] { ended = end_some(all, rt::wait_reason::mutex_lock); });
  stray::yield();
  m.unlock();
  ender.join();
  until_ended();
  SIM_CHECK(got + ended == 3);
  SIM_CHECK(m.try_lock());
  m.unlock();
}

SIM_TEST(withdraw, from_a_semaphore) {
  stray::semaphore s(0);
  waiter all[3];
  std::atomic<int> got{0};
  int ended = 0;
  for (waiter& w : all) {
    stray::go([&] {
      w.here();
      s.acquire();
      got++;
    });
  }
  sim::thread ender([&] { ended = end_some(all, rt::wait_reason::semaphore_acquire); });
  s.release(3);
  ender.join();
  until_ended();
  SIM_CHECK(got + ended == 3);
  for (int i = 0; i < ended; i++) SIM_CHECK(s.try_acquire());
  SIM_CHECK(!s.try_acquire());
}

// Readers hold it and leave, writers announce themselves and are withdrawn, readers and writers stand behind them.
SIM_TEST(withdraw, writers_of_a_shared_mutex) {
  stray::shared_mutex m;
  waiter writers[2];
  std::atomic<int> wrote{0}, read{0}, inside{0};
  int ended = 0;
  m.lock_shared();
  for (waiter& w : writers) {
    stray::go([&] {
      w.here();
      std::lock_guard held(m);
      SIM_CHECK(inside.fetch_add(100) == 0);
      stray::yield();
      inside -= 100;
      wrote++;
    });
  }
  for (int i = 0; i < 2; i++) {
    stray::go([&] {
      std::shared_lock held(m);
      SIM_CHECK(inside.fetch_add(1) < 100);
      stray::yield();
      inside--;
      read++;
    });
  }
  sim::thread ender([&] { ended = end_some(writers, rt::wait_reason::rwmutex_lock); });
  for (std::uint32_t i = sim::random(4); i != 0; i--) stray::yield();
  m.unlock_shared();
  ender.join();
  until_ended();
  SIM_CHECK(read == 2 && wrote + ended == 2);
  SIM_CHECK(m.try_lock());
  m.unlock();
}

SIM_TEST(withdraw, readers_of_a_shared_mutex) {
  stray::shared_mutex m;
  waiter readers[3];
  std::atomic<int> read{0};
  int ended = 0;
  m.lock();
  for (waiter& w : readers) {
    stray::go([&] {
      w.here();
      std::shared_lock held(m);
      read++;
    });
  }
  sim::thread ender([&] { ended = end_some(readers, rt::wait_reason::rwmutex_rlock); });
  stray::yield();
  m.unlock();
  ender.join();
  until_ended();
  SIM_CHECK(read + ended == 3);
  SIM_CHECK(m.try_lock());
  m.unlock();
}

}  // namespace
