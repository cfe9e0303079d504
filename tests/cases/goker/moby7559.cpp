// A proxy locks its table and dials; the dial fails, and the next turn of the loop locks the table again.
// expect: 1 UDPProxy::run [sync.Mutex.Lock] cycle @lock
// go: required
// cause: it holds the lock (in heap memory) itself: locked twice
#include <memory>

#include "report.hpp"

bool dial_udp() { return false; }

struct UDPProxy {
  stray::mutex conn_track_lock;

  void run() {
    for (int i = 0; i < 2; i++) {
      conn_track_lock.lock();  // here: lock
      if (!dial_udp()) continue;
      conn_track_lock.unlock();
    }
  }
};

void start() {
  auto proxy = std::make_shared<UDPProxy>();
  stray::go([proxy] { proxy->run(); });
  stray::testing::until_parked(1);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
