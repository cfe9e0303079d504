// The transport sends, or stops.
// expect: nothing
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
    stop.wait();
    stopped.close();
  }
};

struct LocalInterceptableTransport {
  stray::chan<int> events = stray::make_chan<int>();

  void run(const std::shared_ptr<Stopper>& stopper, const stray::recv_chan<void>& gate) {
    stopper->run_worker([events = events, stop = stray::recv_chan<void>(stopper->stopper), gate] {
      while (stray::select(stray::on_recv(stop), stray::on_default()) != 0) {
        gate.recv();
        if (stray::select(stray::on_send(events, 0), stray::on_recv(stop)) == 1) return;
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
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
