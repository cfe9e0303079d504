// A consumer that ends says so, and makes room for who waits already.
// expect: nothing
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
    if (!consumer_is_closed) data.send(0);
  }
};

struct Outbox : std::enable_shared_from_this<Outbox> {
  RowChannel rows;

  void run(stray::wait_group& wg) {
    wg.go([self = shared_from_this()] { self->rows.consumer_closed(); });
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
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
