// A breaker lets one request work at a time. The second came first, and waits for its lock, which the test gives back after the first has
// been accepted; the first waits until the breaker lets it in.
// expect: 1 Breaker::maybe [chan send] proven @active
// expect: 1 Breaker::concurrent_request::lambda::lambda [sync.Mutex.Lock] proven @lock
// expect: 1 unlock [chan receive] proven @accepted
// go: allowed
// cause: is held by goroutine N, which is itself leaked; they wait for each other: goroutine N at @lock [sync.Mutex.Lock] -> goroutine N at @accepted [chan receive] -> goroutine N at @active [chan send] -> goroutine N
// cause: goroutine N at @accepted [chan receive] -> goroutine N at @active [chan send]
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "report.hpp"

struct Request {
  std::shared_ptr<stray::mutex> lock = std::make_shared<stray::mutex>();
  stray::chan<bool> accepted = stray::make_chan<bool>(1);
};

struct Breaker : std::enable_shared_from_this<Breaker> {
  stray::chan<void> pending_requests = stray::make_chan<void>(2), active_requests = stray::make_chan<void>(1);

  bool maybe(const std::function<void()>& thunk) {
    if (!pending_requests.try_send()) return false;
    active_requests.send();  // here: active
    thunk();
    active_requests.recv();
    pending_requests.recv();
    return true;
  }
  Request concurrent_request(const stray::recv_chan<void>& gate) {
    Request r;
    r.lock->lock();
    stray::go([self = shared_from_this(), r, gate] {
      gate.recv();
      bool ok = self->maybe([&r] {
        std::lock_guard locked(*r.lock);  // here: lock
      });
      r.accepted.send(ok);
    });
    return r;
  }
};

void unlock(const Request& r) {
  r.lock->unlock();
  bool ok = *r.accepted.recv();  // here: accepted
  r.accepted.send(ok);
}

void unlock_all(const std::vector<Request>& requests) {
  for (const Request& r : requests) unlock(r);
}

void serving2137(const stray::recv_chan<void>& first, const stray::recv_chan<void>& second) {
  auto b = std::make_shared<Breaker>();
  unlock_all({b->concurrent_request(first), b->concurrent_request(second)});
}

void start() {
  auto first = stray::make_chan<void>(), second = stray::make_chan<void>();
  second.close();
  stray::go(serving2137, first, second);
  stray::testing::until_parked(3);
  first.close();
  stray::testing::until_parked(3);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
