// The test gives back all locks before it waits for anybody.
// expect: nothing
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
    active_requests.send();
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
      bool ok = self->maybe([&r] { std::lock_guard locked(*r.lock); });
      r.accepted.send(ok);
    });
    return r;
  }
};

void wait_accepted(const Request& r) {
  bool ok = *r.accepted.recv();
  r.accepted.send(ok);
}

void unlock_all(const std::vector<Request>& requests) {
  for (const Request& r : requests) r.lock->unlock();
  for (const Request& r : requests) wait_accepted(r);
}

void serving2137(const stray::recv_chan<void>& first, const stray::recv_chan<void>& second) {
  auto b = std::make_shared<Breaker>();
  unlock_all({b->concurrent_request(first), b->concurrent_request(second)});
}

void start() {
  auto first = stray::make_chan<void>(), second = stray::make_chan<void>();
  second.close();
  stray::go(serving2137, first, second);
  stray::testing::until_parked(2);
  first.close();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
