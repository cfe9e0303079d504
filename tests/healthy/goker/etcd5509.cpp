// The request gives the read lock back in any case.
// expect: nothing
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "report.hpp"

struct Client {
  stray::shared_mutex mu;
  bool closed = true;

  void close() {
    std::lock_guard lock(mu);
    closed = true;
  }
};

struct RemoteClient {
  std::shared_ptr<Client> client;

  bool acquire() {
    for (;;) {
      client->mu.lock_shared();
      bool end = client->closed;
      client->mu.unlock_shared();
      if (end) return false;
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
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
