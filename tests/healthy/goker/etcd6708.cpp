// The leader is asked for without the lock.
// expect: nothing
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
  void do_request() { std::shared_lock lock(mu); }
  void sync() {
    std::unique_lock lock(mu);
    lock.unlock();
    set_endpoints();
  }
};

void MembersAPI::leader() { client->do_request(); }

void start() {
  stray::go([client = std::make_shared<HttpClusterClient>()] { client->sync(); });
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
