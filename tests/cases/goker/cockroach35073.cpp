// An outbox is full, and two want to push one more row each. Its consumer ends without a word.
// expect: 2 RowChannel::push [chan send] proven @row
// go: required
#include <atomic>
#include <memory>

#include "report.hpp"

constexpr int room = 16;

struct RowChannel {
  std::atomic<bool> consumer_is_closed{false};
  stray::chan<int> data = stray::make_chan<int>(room);

  void consumer_closed() {
    consumer_is_closed = true;
    std::optional<int> row;
    while (data.try_recv(row) == stray::chan_status::ok) {
    }
  }
  void push() {
    if (!consumer_is_closed) data.send(0);  // here: row
  }
};

struct Outbox : std::enable_shared_from_this<Outbox> {
  RowChannel rows;

  void run(stray::wait_group& wg) {
    wg.go([self = shared_from_this()] {});
  }
};

void start() {
  stray::go([] {
    auto outbox = std::make_shared<Outbox>();
    for (int i = 0; i < room; i++) outbox->rows.push();
    stray::go([outbox] { outbox->rows.push(); });
    stray::testing::until_parked(1);
    stray::wait_group wg;
    outbox->run(wg);
    wg.wait();
    outbox->rows.push();
  });
  stray::testing::until_parked(2);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
