// A request finds the client closed and ends with the read lock held. Close waits for it.
// expect: 1 Client::close [sync.RWMutex.Lock] proven @close
// go: required
// cause: is held for reading by goroutine or thread N, which has ended without unlocking it
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "report.hpp"

struct Client {
  stray::shared_mutex mu;
  bool closed = true;

  void close() {
    std::lock_guard lock(mu);  // here: close
    closed = true;
  }
};

struct RemoteClient {
  std::shared_ptr<Client> client;

  bool acquire() {
    for (;;) {
      client->mu.lock_shared();
      if (client->closed) return false;
      client->mu.unlock_shared();
    }
  }
};

struct KV {
  RemoteClient rc;

  bool get() { return rc.acquire(); }
};

void start() {
  stray::go([] {
    auto client = std::make_shared<Client>();
    auto done = stray::make_chan<void>();
    stray::go([kv = KV{{client}}, done]() mutable {
      kv.get();
      done.close();
    });
    done.recv();
    client->close();
  });
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
