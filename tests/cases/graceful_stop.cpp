// GracefulStop waits for the handlers with the lock held; Stop, which would cancel them, waits for the lock; the handler waits to be cancelled
// (grpc-go 9393). Both hold what cancels: that Stop waits for GracefulStop tells who comes first.
// expect: 1 server::graceful_stop [sync.WaitGroup.Wait] proven @graceful
// expect: 1 server::stop [sync.Mutex.Lock] proven @stop
// expect: 3 server::serve::lambda [chan receive] proven @handler
// cause: they wait for each other: goroutine N at @stop [sync.Mutex.Lock] -> goroutine N at @graceful [sync.WaitGroup.Wait] -> (one of several) goroutine N at @handler [chan receive] -> goroutine N
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
    handlers_.wait();  // here: graceful
  }
  [[gnu::noinline]] void stop() {
    std::lock_guard hold(lock_);  // here: stop
    cancel_();
  }
  static void serve(const std::shared_ptr<server>& s) {
    s->handlers_.go([s] {
      s->ctx_.done().recv();  // here: handler
    });
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
  stray::testing::until_parked(5);
  return report::print();
}
