// A dial that fails unlocks the table, too.
// expect: nothing
#include <memory>

#include "report.hpp"

bool dial_udp() { return false; }

struct UDPProxy {
  stray::mutex conn_track_lock;

  void run() {
    for (int i = 0; i < 2; i++) {
      conn_track_lock.lock();
      if (!dial_udp()) {
        conn_track_lock.unlock();
        continue;
      }
      conn_track_lock.unlock();
    }
  }
};

void start() {
  auto proxy = std::make_shared<UDPProxy>();
  stray::go([proxy] { proxy->run(); });
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
