// Nobody waits for a URL while he keeps the map locked.
// expect: nothing
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "report.hpp"

struct RemoteLock {
  stray::shared_mutex lock;
  std::map<std::string, stray::mutex> urls;

  void url_lock(const std::string& url) {
    std::unique_lock map_lock(lock);
    stray::mutex& of_url = urls[url];
    map_lock.unlock();
    of_url.lock();
  }
  void url_unlock(const std::string& url) {
    std::shared_lock map_lock(lock);
    urls.at(url).unlock();
  }
};

void res_get_remote(RemoteLock& remote, const std::string& url, const stray::recv_chan<void>& gate) {
  remote.url_lock(url);
  gate.recv();
  remote.url_unlock(url);
}

void hugo3251(const stray::recv_chan<void>& gate) {
  auto remote = std::make_shared<RemoteLock>();
  stray::wait_group all;
  for (int i = 0; i < 2; i++) {
    all.go([remote, gate] { res_get_remote(*remote, "http://Foo.Bar/foo_Bar-Foo", gate); });
  }
  all.wait();
}

void start() {
  auto gate = stray::make_chan<void>();
  stray::go(hugo3251, gate);
  stray::testing::until_parked(3);
  gate.close();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
