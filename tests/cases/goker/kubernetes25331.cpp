// A watch that has an error cancels its own context, then sends the error as its result. Nobody receives results any more.
// expect: 1 WatchChan::run [chan send] proven @result
// go: required
// cause: nobody alive can receive
#include <memory>

#include "report.hpp"

struct WatchChan {
  stray::cancelable_context own = stray::with_cancel(stray::background());
  stray::chan<bool> result = stray::make_chan<bool>();
  stray::chan<int> errors = stray::make_chan<int>();

  void stop() {
    errors.send(1);
    own.cancel();
  }
  void run() {
    int error = 0;
    std::size_t chosen =
        stray::select(stray::on_recv(errors, [&](std::optional<int> e) { error = *e; }), stray::on_recv(own.ctx.done()));
    if (chosen == 1) return;
    own.cancel();
    result.send(error != 0);  // here: result
  }
};

void start() {
  auto wc = std::make_shared<WatchChan>();
  stray::go([wc] { wc->run(); });
  stray::testing::until_parked(1);
  stray::go([wc] { wc->stop(); });
  while (stray::num_goroutine() > 2) stray::yield();  // who stops it has ended
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
