// The test waits for the channel which it gave to `wait_for` as the one that says stop. It would close it itself, later; `wait_for` only
// hands it on, to a poller that cannot close it.
// expect: 1 kubernetes70277 [chan receive] proven @done
// go: allowed
// cause: nothing alive holds a handle that could wake it
#include <functional>

#include "report.hpp"

using Done = stray::recv_chan<void>;
using WaitFunc = std::function<Done(const Done&)>;

void wait_for(const WaitFunc& wait, const std::function<bool()>& condition, const Done& done) {
  Done ticks = wait(done);
  for (bool open = true; open;) {
    open = ticks.recv();
    if (condition()) break;
  }
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
  auto stop = stray::make_chan<void>();
  WaitFunc wait = poller(std::chrono::milliseconds(1), std::chrono::milliseconds(80));
  Done given;
  auto remember = [&](const Done& done) {
    given = done;
    return wait(done);
  };
  wait_for(
      remember, [] { return true; }, stop);
  given.recv();  // here: done
  stop.close();
}

void start() {
  stray::testing::fake_clock clock;
  stray::go(kubernetes70277);
  stray::testing::until_parked(2);
  clock.advance(std::chrono::milliseconds(1));
  stray::testing::until_parked(2);
  clock.advance(std::chrono::milliseconds(80));
  while (stray::num_goroutine() > 2) stray::yield();  // the poller has ended
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
