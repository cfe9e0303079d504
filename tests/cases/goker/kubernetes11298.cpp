// A service loop starts a goroutine that waits to be notified. It is told to stop before that goroutine waits, notifies it, and waits for
// its end: the notification is lost. Who started the loop waits for the loop's end.
// expect: 1 Notifier::wait [sync.Cond.Wait] proven @cond
// expect: 1 Notifier::service_loop [chan receive] proven @signal
// expect: 1 kubernetes11298 [chan receive] proven @done
// go: allowed
// cause: it waits for goroutine N, leaked at @signal [chan receive]
// cause: goroutine N at @signal [chan receive] -> goroutine N at @cond [sync.Cond.Wait]
#include <functional>
#include <memory>
#include <mutex>

#include "report.hpp"

using Signal = stray::recv_chan<void>;

Signal after(const std::function<void()>& f) {
  auto ch = stray::make_chan<void>();
  stray::go([ch, f] {
    f();
    ch.close();
  });
  return ch;
}

struct Notifier : std::enable_shared_from_this<Notifier> {
  stray::mutex lock;
  stray::condition_variable cond;
  bool stopped = false;

  void wait() {
    std::unique_lock locked(lock);
    cond.wait(locked);  // here: cond
  }
  void service_loop(const Signal& abort, const Signal& gate) {
    for (std::size_t chosen = 1; chosen == 1;) {
      Signal notified = after([self = shared_from_this(), gate] {
        gate.recv();
        self->wait();
      });
      chosen = stray::select(stray::on_recv(abort), stray::on_recv(notified));
      if (chosen == 0) {
        signal(true);
        notified.recv();  // here: signal
      }
    }
  }
  void signal(bool last) {
    std::lock_guard locked(lock);
    stopped = last;
    cond.notify_one();
  }
};

void notify(const Signal& abort, const Signal& gate) {
  auto n = std::make_shared<Notifier>();
  Signal finished = after([n, abort] {
    while (stray::select(stray::on_recv(abort), stray::on_default()) != 0) {
      n->signal(false);
      stray::yield();
    }
  });
  n->service_loop(finished, gate);
}

void kubernetes11298(const Signal& done, const Signal& gate) {
  Signal notify_done = after([done, gate] { notify(done, gate); });
  notify_done.recv();  // here: done
}

void start() {
  auto done = stray::make_chan<void>(), gate = stray::make_chan<void>();
  stray::go(kubernetes11298, done, gate);
  stray::testing::until_parked(3);
  done.close();
  while (stray::num_goroutine() > 4) stray::yield();  // who notifies all the time has ended
  stray::testing::until_parked(3);
  gate.close();
  stray::testing::until_parked(3);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
