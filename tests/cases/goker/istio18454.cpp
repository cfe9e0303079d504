// An event starts a timer, later ones ask to set it again. Setting it again stops it and, as it fired before, takes its time out of the
// channel; but the loop has taken that already, and waits for ever. The events then fill the buffer of what asks for it.
// expect: 1 Strategy::event_loop [chan receive] proven @time
// expect: 1 Strategy::on_change [chan send] proven @reset
// go: allowed
// cause: goroutine N at @reset [chan send] -> goroutine N at @time [chan receive]
#include <functional>
#include <memory>
#include <mutex>

#include "report.hpp"

constexpr auto frequency = std::chrono::milliseconds(1);

struct Worker {
  stray::cancelable_context own = stray::with_cancel(stray::background());
  void start(const std::function<void(const stray::context&)>& run) {
    stray::go([run, ctx = own.ctx] { run(ctx); });
  }
  void stop() { own.cancel(); }
};

struct Strategy : std::enable_shared_from_this<Strategy> {
  stray::timer timer;
  stray::mutex state_lock;
  stray::chan<void> reset = stray::make_chan<void>(1);
  Worker worker;

  void on_change() {
    std::unique_lock lock(state_lock);
    if (!timer) return start_timer();
    lock.unlock();
    reset.send();  // here: reset
  }
  void start_timer() {
    timer = stray::timer(frequency);
    worker.start([self = shared_from_this()](const stray::context& ctx) { self->event_loop(ctx); });
  }
  void event_loop(const stray::context& ctx) {
    for (bool ended = false; !ended;) {
      std::size_t chosen = stray::select(stray::on_recv(timer.channel()), stray::on_recv(reset), stray::on_recv(ctx.done()));
      if (chosen == 1) {
        if (!timer.stop()) timer.channel().recv();  // here: time
        timer.reset(frequency);
      } else if (chosen == 2) {
        timer.stop();
        ended = true;
      }
    }
  }
};

struct Processor : std::enable_shared_from_this<Processor> {
  std::shared_ptr<Strategy> strategy = std::make_shared<Strategy>();
  Worker worker;
  stray::chan<int> events = stray::make_chan<int>(1024);

  void start() {
    worker.start([self = shared_from_this()](const stray::context& ctx) {
      while (stray::select(stray::on_recv(ctx.done()), stray::on_recv(self->events)) == 1) self->strategy->on_change();
      self->strategy->worker.stop();
    });
  }
};

void start() {
  stray::testing::fake_clock clock;
  auto p = std::make_shared<Processor>();
  p->start();
  p->events.send(0);
  stray::testing::until_parked(2);
  clock.advance(frequency);
  stray::testing::until_parked(2);  // the loop has taken the time, and waits again
  for (int i = 0; i < 3; i++) p->events.send(0);
  stray::testing::until_parked(2);
  p->worker.stop();
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
