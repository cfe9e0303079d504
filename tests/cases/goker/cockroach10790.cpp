// The context is cancelled while commands wait for those before them. Each wait that ends so leaves a goroutine behind that goes on waiting
// in its place; but who would have sent has seen the cancel, too, and is gone.
// expect: 2 Replica::begin_cmds::lambda [chan receive] proven @drain
// go: allowed
#include <memory>
#include <vector>

#include "report.hpp"

struct Replica : std::enable_shared_from_this<Replica> {
  std::vector<stray::chan<bool>> chans{stray::make_chan<bool>(), stray::make_chan<bool>()};

  void begin_cmds(const stray::context& ctx) {
    for (const auto& ch : chans) {
      if (stray::select(stray::on_recv(ch), stray::on_recv(ctx.done())) == 0) continue;
      stray::go([self = shared_from_this()] {
        for (const auto& before : self->chans) before.recv();  // here: drain
      });
    }
  }
  void send_chans(const stray::context& ctx) {
    for (const auto& ch : chans) {
      if (stray::select(stray::on_send(ch, true), stray::on_recv(ctx.done())) == 1) break;
    }
  }
};

void start() {
  auto r = std::make_shared<Replica>();
  auto [ctx, cancel] = stray::with_cancel(stray::background());
  stray::go([r, ctx = ctx] { r->send_chans(ctx); });
  stray::testing::until_parked(1);
  cancel();
  while (stray::num_goroutine() > 1) stray::yield();
  r->begin_cmds(ctx);
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
