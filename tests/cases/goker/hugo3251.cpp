// One lock guards a map, and there is a lock for each URL in it. Who has locked the URL needs the map's lock to unlock it; who waits for
// the URL keeps the map locked meanwhile. The one that started both waits for them.
// expect: 1 hugo3251 [sync.WaitGroup.Wait] proven @wait
// expect: 1 RemoteLock::url_lock [sync.Mutex.Lock] cycle @url
// expect: 1 RemoteLock::url_unlock [sync.RWMutex.RLock] cycle @map
// go: allowed
// cause: they wait for each other: goroutine N at @url [sync.Mutex.Lock] -> goroutine N at @map [sync.RWMutex.RLock] -> goroutine N
// cause: it waits for goroutine N at @url [sync.Mutex.Lock] and goroutine N at @map [sync.RWMutex.RLock], leaked too
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
    of_url.lock();  // here: url
  }
  void url_unlock(const std::string& url) {
    std::shared_lock map_lock(lock);  // here: map
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
  all.wait();  // here: wait
}

void start() {
  auto gate = stray::make_chan<void>();
  stray::go(hugo3251, gate);
  stray::testing::until_parked(3);
  gate.close();
  stray::testing::until_parked(3);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
