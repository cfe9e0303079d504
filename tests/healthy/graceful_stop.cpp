// Stop cancels before it asks for the lock.
// expect: nothing
#include <memory>
#include <mutex>

#include "report.hpp"

class server {
 public:
  server() {
    auto [ctx, cancel] = stray::with_cancel(stray::background());
    ctx_ = ctx;
    cancel_ = cancel;
  }
  [[gnu::noinline]] void graceful_stop() {
    std::lock_guard hold(lock_);
    handlers_.wait();
  }
  [[gnu::noinline]] void stop() {
    cancel_();
    std::lock_guard hold(lock_);
  }
  static void serve(const std::shared_ptr<server>& s) {
    s->handlers_.go([s] { s->ctx_.done().recv(); });
  }

 private:
  stray::mutex lock_;
  stray::wait_group handlers_;
  stray::context ctx_;
  stray::cancel_func cancel_;
};

[[gnu::noinline]] void run() {
  auto s = std::make_shared<server>();
  for (int handlers = 0; handlers < 3; handlers++) server::serve(s);
  stray::testing::until_parked(3);
  stray::go([s] { s->graceful_stop(); });
  stray::testing::until_parked(4);
  stray::go([s] { s->stop(); });
}

int main() {
  run();
  report::until_finished();
  return report::print();
}
