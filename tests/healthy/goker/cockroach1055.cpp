// Stop gives the lock back before it waits, whoever wants to start a task looks under the lock, and a task ends.
// expect: nothing
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
    lock.unlock();
    drain.wait();
    stopper.close();
    stop.wait();
  }
  bool start_task(const stray::recv_chan<void>& gate) {
    gate.recv();
    std::lock_guard lock(mu);
    if (draining) return false;
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
      if (s->start_task(gate)) s->drain.done();
      s->stopper.recv();
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
  done.recv();
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
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
