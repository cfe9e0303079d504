// Who splits looks at the context, too.
// expect: nothing
#include "report.hpp"

constexpr int room = 6;

void split_and_scatter(const stray::context& ctx, const stray::send_chan<bool>& ready) {
  for (int i = 0; i < room + 2; i++) {
    if (stray::select(stray::on_send(ready, i != 0), stray::on_recv(ctx.done())) == 1) return;
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
  stray::go([ctx = ctx] { restore(ctx); });
  stray::testing::until_parked(2);
  cancel();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
