// `wait_for` gives a channel of its own, and closes it when it returns.
// expect: nothing
#include <functional>

#include "report.hpp"

using Done = stray::recv_chan<void>;
using WaitFunc = std::function<Done(const Done&)>;

void wait_for(const WaitFunc& wait, const std::function<bool()>& condition) {
  auto done = stray::make_chan<void>();
  Done ticks = wait(done);
  for (bool open = true; open;) {
    open = ticks.recv();
    if (condition()) break;
  }
  done.close();
}

WaitFunc poller(std::chrono::milliseconds interval, std::chrono::milliseconds timeout) {
  return [interval, timeout](const Done& done) -> Done {
    auto ch = stray::make_chan<void>();
    stray::go([ch, interval, timeout, done] {
      stray::ticker tick(interval);
      stray::timer after(timeout);
      while (stray::select(stray::on_recv(tick.channel()), stray::on_recv(after.channel()), stray::on_recv(done)) == 0) {
        ch.try_send();
      }
      ch.close();
    });
    return ch;
  };
}

void kubernetes70277() {
  WaitFunc wait = poller(std::chrono::milliseconds(1), std::chrono::milliseconds(80));
  Done given;
  auto remember = [&](const Done& done) {
    given = done;
    return wait(done);
  };
  wait_for(remember, [] { return true; });
  given.recv();
}

void start() {
  stray::testing::fake_clock clock;
  stray::go(kubernetes70277);
  stray::testing::until_parked(2);
  clock.advance(std::chrono::milliseconds(1));
  while (stray::num_goroutine() > 1) stray::yield();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
