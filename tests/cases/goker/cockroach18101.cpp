// A restore leaves its loop when the context ends. Who splits ranges for it has room for six more, and two are left to send.
// expect: 1 split_and_scatter [chan send] proven @ready
// go: allowed
#include "report.hpp"

constexpr int room = 6;

void split_and_scatter(const stray::context&, const stray::send_chan<bool>& ready) {
  for (int i = 0; i < room + 2; i++) {
    ready.send(i != 0);  // here: ready
  }
}

bool restore(const stray::context& ctx) {
  auto ready = stray::make_chan<bool>(room);
  stray::go([ctx, ready] {
    split_and_scatter(ctx, ready);
    ready.close();
  });
  while (auto span = ready.recv()) {
    ctx.done().recv();
    return *span;
  }
  return true;
}

void start() {
  auto [ctx, cancel] = stray::with_cancel(stray::background());
  cancel();
  restore(ctx);
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
