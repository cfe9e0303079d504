// The transaction is rolled back.
// expect: nothing
#include <memory>

#include "report.hpp"

struct Tx {
  stray::context ctx;
  stray::cancel_func cancel;

  void await_done() { ctx.done().recv(); }
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
  auto tx = db.begin(stray::background());
  stray::testing::until_parked(1);
  tx->rollback();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
