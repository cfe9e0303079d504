// The main thread gives the lock back before it waits for the worker.
// expect: nothing
#include <memory>
#include <mutex>
#include <thread>

#include "report.hpp"

struct pool {
  stray::mutex lock;
  stray::wait_group workers;
};

[[gnu::noinline]] void work(pool& p) { std::lock_guard hold(p.lock); }
[[gnu::noinline]] void await_main(stray::recv_chan<int> in) { in.recv(); }

[[gnu::noinline]] void run(pool& p, const stray::send_chan<int>& out) {
  {
    std::lock_guard hold(p.lock);
    p.workers.go([&p] { work(p); });
    stray::testing::until_parked(1);
    report::print();
  }
  p.workers.wait();
  out.send(1);
}

int main() {
  auto ch = stray::make_chan<int>();
  std::thread other(await_main, stray::recv_chan<int>(ch));
  auto p = std::make_unique<pool>();
  run(*p, ch);
  other.join();
}
