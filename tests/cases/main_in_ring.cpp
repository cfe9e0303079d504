// The main thread waits for a worker and holds the lock that the worker wants; another OS thread waits for the main thread. Main itself is
// not reported: its end is the process's. But causes lead through it.
// blind: it goes on when it has found its leak
// expect: 1 work [sync.Mutex.Lock] proven @worker
// expect: 1 await_main [chan receive] proven @thread
// cause: is held by the main thread, which is itself leaked; they wait for each other: goroutine N at @worker [sync.Mutex.Lock] -> the main thread at @main [sync.WaitGroup.Wait] -> goroutine N
// cause: it waits for the main thread, blocked for ever at @main [sync.WaitGroup.Wait]
#include <memory>
#include <mutex>
#include <thread>

#include "report.hpp"

struct pool {
  stray::mutex lock;
  stray::wait_group workers;
};

[[gnu::noinline]] void work(pool& p) {
  std::lock_guard hold(p.lock);  // here: worker
}
[[gnu::noinline]] void await_main(stray::recv_chan<int> in) {
  in.recv();  // here: thread
}

[[gnu::noinline]] void run(pool& p, const stray::send_chan<int>& out) {
  std::lock_guard hold(p.lock);
  p.workers.go([&p] { work(p); });
  p.workers.wait();  // here: main
  out.send(1);
}

int main() {
  auto ch = stray::make_chan<int>();
  std::thread(await_main, stray::recv_chan<int>(ch)).detach();
  std::thread([] {
    for (;;) {
      stray::leak::report r = stray::leak::find();  // until all have blocked
      if (r.total() == 2) std::_Exit(report::print(r));
    }
  }).detach();
  auto p = std::make_unique<pool>();
  run(*p, ch);
}
