// Each epoch of a proxy tells the agent when it is over. The agent's loop ends with its context, and the epochs that end after that tell
// nobody: no one else receives.
// expect: 2 Agent::run_wait [chan send] proven @status
// go: allowed
// cause: nobody alive can receive
#include <memory>
#include <mutex>
#include <set>

#include "report.hpp"

struct Agent : std::enable_shared_from_this<Agent> {
  stray::mutex mu;
  stray::chan<int> status = stray::make_chan<int>();
  int current_epoch = 0;
  std::set<int> active_epochs;
  stray::recv_chan<void> gate;  // an epoch lasts until it is closed

  void run(const stray::context& ctx) {
    for (bool ended = false; !ended;) {
      stray::select(stray::on_recv(status,
                                   [&](std::optional<int> epoch) {
                                     std::lock_guard lock(mu);
                                     active_epochs.erase(*epoch);
                                     ended = active_epochs.empty();
                                   }),
                    stray::on_recv(ctx.done(), [&] { ended = true; }));
    }
  }
  void restart(const stray::context& ctx) {
    std::lock_guard lock(mu);
    wait_until_live();
    active_epochs.insert(++current_epoch);
    stray::go([self = shared_from_this(), epoch = current_epoch, ctx] { self->run_wait(epoch, ctx); });
  }
  void run_wait(int epoch, [[maybe_unused]] const stray::context& ctx) {
    gate.recv();
    status.send(epoch);  // here: status
  }
  void wait_until_live() {
    if (active_epochs.empty()) return;
    stray::timer patience(std::chrono::nanoseconds(100));
    stray::ticker interval(std::chrono::nanoseconds(30));
    for (bool over = false; !over;) {
      stray::select(stray::on_recv(patience.channel(), [&] { over = true; }), stray::on_recv(interval.channel()));
    }
  }
};

void start() {
  auto gate = stray::make_chan<void>();
  auto [ctx, cancel] = stray::with_cancel(stray::background());
  auto a = std::make_shared<Agent>();
  a->gate = gate;
  stray::go([a, ctx] { a->run(ctx); });
  a->restart(ctx);
  a->restart(ctx);
  stray::testing::until_parked(3);
  cancel();
  while (stray::num_goroutine() > 3) stray::yield();  // the loop has ended
  gate.close();
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
