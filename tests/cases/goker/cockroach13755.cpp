// Rows start a goroutine that closes them when their context ends. They are dropped unclosed, and nobody else can cancel.
// expect: 1 Rows::await_done [chan receive] proven @done
// go: required
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
    ctx.done().recv();  // here: done
    close();
  }
  void close() { cancel(); }
};

void start() {
  auto rows = std::make_shared<Rows>();
  rows->init_context_close(stray::background());
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
