// A cluster client synchronises its endpoints under its lock. It asks for the leader through itself, which reads under the same lock.
// expect: 1 HttpClusterClient::do_request [sync.RWMutex.RLock] cycle @read
// go: required
// cause: it holds the lock (in heap memory) itself: locked twice
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "report.hpp"

struct HttpClusterClient;

struct MembersAPI {
  HttpClusterClient* client;

  void leader();
};

struct HttpClusterClient {
  stray::shared_mutex mu;

  void set_endpoints() { get_leader_endpoint(); }
  void get_leader_endpoint() { MembersAPI{this}.leader(); }
  void do_request() {
    std::shared_lock lock(mu);  // here: read
  }
  void sync() {
    std::lock_guard lock(mu);
    set_endpoints();
  }
};

void MembersAPI::leader() { client->do_request(); }

void start() {
  stray::go([client = std::make_shared<HttpClusterClient>()] { client->sync(); });
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
