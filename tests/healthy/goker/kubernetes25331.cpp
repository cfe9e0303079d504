// The result is sent unless the context is cancelled.
// expect: nothing
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
    stray::select(stray::on_send(result, error != 0), stray::on_recv(own.ctx.done()));
  }
};

void start() {
  auto wc = std::make_shared<WatchChan>();
  stray::go([wc] { wc->run(); });
  stray::testing::until_parked(1);
  stray::go([wc] { wc->stop(); });
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
