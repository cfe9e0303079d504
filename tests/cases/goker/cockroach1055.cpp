// Stop holds the lock while it waits for the workers. One of them saw that nothing drains, and wants the lock to start its task. The worker
// of the second stopper waits for a stop whose turn never comes, and the caller waits for both.
// expect: 1 Stopper::start_task [sync.Mutex.Lock] proven @task
// expect: 1 Stopper::stop_all [sync.WaitGroup.Wait] proven @stop
// expect: 1 start_stop::lambda [chan receive] proven @stopper
// expect: 1 start_stop [chan receive] proven @done
// go: allowed
// cause: they wait for each other: goroutine N at @stop [sync.WaitGroup.Wait] -> goroutine N at @task [sync.Mutex.Lock] -> goroutine N
#include <array>
#include <atomic>
#include <memory>
#include <mutex>

#include "report.hpp"

struct Stopper {
  stray::chan<void> stopper = stray::make_chan<void>();
  stray::wait_group stop, drain;
  stray::mutex mu;
  std::atomic<bool> draining{false};

  void quiesce() {
    std::lock_guard lock(mu);
    draining = true;
    drain.wait();
    draining = false;
  }
  void stop_all() {
    std::unique_lock lock(mu);
    draining = true;
    drain.wait();
    stopper.close();
    stop.wait();  // here: stop
  }
  bool start_task(const stray::recv_chan<void>& gate) {
    if (draining) return false;
    gate.recv();
    std::lock_guard lock(mu);  // here: task
    drain.add(1);
    return true;
  }
};

struct Gates {
  stray::chan<void> begin = stray::make_chan<void>(), stop = stray::make_chan<void>();
  std::array<stray::chan<void>, 2> task{stray::make_chan<void>(), stray::make_chan<void>()};
};

void start_stop(const Gates& gates) {
  std::array<std::shared_ptr<Stopper>, 2> stoppers{std::make_shared<Stopper>(), std::make_shared<Stopper>()};
  for (std::size_t i = 0; i < 2; i++) {
    stoppers[i]->stop.add(1);
    stray::go([s = stoppers[i], begin = stray::recv_chan<void>(gates.begin), gate = stray::recv_chan<void>(gates.task[i])] {
      begin.recv();
      s->start_task(gate);
      s->stopper.recv();  // here: stopper
      s->stop.done();
    });
  }
  auto done = stray::make_chan<void>();
  stray::go([stoppers, done, gate = stray::recv_chan<void>(gates.stop)] {
    for (const auto& s : stoppers) s->quiesce();
    gate.recv();
    for (const auto& s : stoppers) s->stop_all();
    done.close();
  });
  done.recv();  // here: done
}

void start() {
  Gates gates;
  gates.task[1].close();
  stray::go([gates] { start_stop(gates); });
  stray::testing::until_parked(4);
  gates.begin.close();
  stray::testing::until_parked(4);
  gates.stop.close();
  stray::testing::until_parked(4);
  gates.task[0].close();
  stray::testing::until_parked(4);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
