// The rows are closed.
// expect: nothing
#include <memory>

#include "report.hpp"

struct Rows : std::enable_shared_from_this<Rows> {
  stray::cancel_func cancel;

  void init_context_close(const stray::context& parent) {
    auto [ctx, stop] = stray::with_cancel(parent);
    cancel = stop;
    stray::go([self = shared_from_this(), ctx = ctx] { self->await_done(ctx); });
  }
  void await_done(const stray::context& ctx) {
    ctx.done().recv();
    close();
  }
  void close() { cancel(); }
};

void start() {
  auto rows = std::make_shared<Rows>();
  rows->init_context_close(stray::background());
  stray::testing::until_parked(1);
  rows->close();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
