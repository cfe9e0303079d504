// A flow is cancelled, and pushes an end into each of its channels. One of them has its only place taken, and nobody receives any more.
// expect: 1 RowChannel::push [chan send] proven @end
// go: required
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "report.hpp"

struct RowChannel {
  stray::chan<void> data = stray::make_chan<void>(1);

  void push() {
    data.send();  // here: end
  }
};

using Streams = std::map<int, std::shared_ptr<RowChannel>>;

struct FlowRegistry {
  stray::mutex mu;
  std::map<int, Streams> flows;

  std::vector<std::shared_ptr<RowChannel>> cancel_pending_streams_locked(int id) {
    std::vector<std::shared_ptr<RowChannel>> pending;
    for (const auto& [number, receiver] : flows[id]) pending.push_back(receiver);
    return pending;
  }
};

struct Flow {
  int id;
  FlowRegistry* registry;

  void cancel() {
    std::unique_lock lock(registry->mu);
    auto timed_out = registry->cancel_pending_streams_locked(id);
    lock.unlock();
    for (const auto& receiver : timed_out) receiver->push();
  }
};

void start() {
  stray::go([] {
    auto registry = std::make_unique<FlowRegistry>();
    auto left = std::make_shared<RowChannel>(), right = std::make_shared<RowChannel>();
    left->push();
    registry->flows[0] = {{0, left}, {1, right}};
    Flow{0, registry.get()}.cancel();
  });
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
