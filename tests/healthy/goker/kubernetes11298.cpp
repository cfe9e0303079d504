// Who waits looks first whether it was the last notification.
// expect: nothing
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
    cond.wait(locked, [this] { return stopped; });
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
        notified.recv();
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
  notify_done.recv();
}

void start() {
  auto done = stray::make_chan<void>(), gate = stray::make_chan<void>();
  stray::go(kubernetes11298, done, gate);
  stray::testing::until_parked(3);
  done.close();
  while (stray::num_goroutine() > 4) stray::yield();  // who notifies all the time has ended
  stray::testing::until_parked(3);
  gate.close();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
