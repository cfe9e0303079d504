// The transport found no stop yet and sends an event. Who takes the events has seen the stop meanwhile and is gone. Stop waits for all
// workers.
// expect: 1 LocalInterceptableTransport::run::lambda [chan send] proven @event
// expect: 1 Stopper::stop_all [sync.WaitGroup.Wait] proven @stop
// go: allowed
// cause: nobody alive can receive
// cause: ; a root leak: 1 other is leaked because of it
// cause: it waits for goroutine N, leaked at @event [chan send]
// no cause: they wait for each other
#include <functional>
#include <memory>
#include <mutex>

#include "report.hpp"

struct Stopper : std::enable_shared_from_this<Stopper> {
  stray::chan<void> stopper = stray::make_chan<void>(), stopped = stray::make_chan<void>();
  stray::wait_group stop;
  stray::mutex mu;
  stray::condition_variable drain;
  bool draining = false;
  int tasks = 0;

  void run_worker(std::function<void()> f) {
    stop.add(1);
    stray::go([self = shared_from_this(), f = std::move(f)] {
      f();
      self->stop.done();
    });
  }
  void quiesce() {
    std::unique_lock lock(mu);
    draining = true;
    drain.wait(lock, [this] { return tasks == 0; });
  }
  void stop_all() {
    quiesce();
    stopper.close();
    stop.wait();  // here: stop
    stopped.close();
  }
};

struct LocalInterceptableTransport {
  stray::chan<int> events = stray::make_chan<int>();

  void run(const std::shared_ptr<Stopper>& stopper, const stray::recv_chan<void>& gate) {
    stopper->run_worker([events = events, stop = stray::recv_chan<void>(stopper->stopper), gate] {
      while (stray::select(stray::on_recv(stop), stray::on_default()) != 0) {
        gate.recv();
        events.send(0);  // here: event
      }
    });
  }
};

void process_events_until(const stray::recv_chan<int>& events, const stray::recv_chan<void>& stop) {
  while (stray::select(stray::on_recv(events), stray::on_recv(stop)) == 0) {
  }
}

void start_and_stop(const stray::recv_chan<void>& gate, const stray::chan<void>& taker_ended) {
  auto stopper = std::make_shared<Stopper>();
  LocalInterceptableTransport transport;
  transport.run(stopper, gate);
  stopper->run_worker(
      [events = stray::recv_chan<int>(transport.events), stop = stray::recv_chan<void>(stopper->stopper), taker_ended] {
        process_events_until(events, stop);
        taker_ended.close();
      });
  stray::testing::until_parked(3);
  stopper->stop_all();
}

void start() {
  auto gate = stray::make_chan<void>(), taker_ended = stray::make_chan<void>();
  stray::go(start_and_stop, stray::recv_chan<void>(gate), taker_ended);
  taker_ended.recv();
  stray::testing::until_parked(2);
  gate.close();
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
