// Who sends closes the channels at its end.
// expect: nothing
#include <memory>
#include <vector>

#include "report.hpp"

struct Replica : std::enable_shared_from_this<Replica> {
  std::vector<stray::chan<bool>> chans{stray::make_chan<bool>(), stray::make_chan<bool>()};

  void begin_cmds(const stray::context& ctx) {
    for (const auto& ch : chans) {
      if (stray::select(stray::on_recv(ch), stray::on_recv(ctx.done())) == 0) continue;
      stray::go([self = shared_from_this()] {
        for (const auto& before : self->chans) before.recv();
      });
    }
  }
  void send_chans(const stray::context& ctx) {
    for (const auto& ch : chans) {
      if (stray::select(stray::on_send(ch, true), stray::on_recv(ctx.done())) == 1) break;
    }
    for (const auto& ch : chans) ch.close();
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
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
