// A transaction starts a goroutine that waits for the end of its context. It is dropped without commit or rollback, the only ones to
// cancel.
// expect: 1 Tx::await_done [chan receive] proven @done
// go: required
#include <memory>

#include "report.hpp"

struct Tx {
  stray::context ctx;
  stray::cancel_func cancel;

  void await_done() {
    ctx.done().recv();  // here: done
  }
  void rollback() { close(); }
  void close() { cancel(); }
};

struct DB {
  std::shared_ptr<Tx> begin(const stray::context& parent) {
    auto [ctx, cancel] = stray::with_cancel(parent);
    auto tx = std::make_shared<Tx>(Tx{ctx, cancel});
    stray::go([tx] { tx->await_done(); });
    return tx;
  }
};

void start() {
  DB db;
  db.begin(stray::background());
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
