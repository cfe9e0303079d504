// A deletion that is called off unlocks, too.
// expect: nothing
#include <map>
#include <memory>
#include <mutex>

#include "report.hpp"

stray::semaphore deletions{0};  // a permit for each deletion that may begin

struct CacheEntry {
  int sub_conn = 0;
  stray::timer deletion;
  bool abort_deleting = false;
  void cancel() {
    if (!deletion.stop()) abort_deleting = true;
  }
};

struct LbCacheClientConn : std::enable_shared_from_this<LbCacheClientConn> {
  stray::mutex mu;
  std::map<int, std::shared_ptr<CacheEntry>> cache;  // by address
  std::map<int, int> address_of;                     // by connection

  int new_sub_conn(int address) {
    std::lock_guard lock(mu);
    if (auto entry = cache.extract(address)) {
      entry.mapped()->cancel();
      return entry.mapped()->sub_conn;
    }
    address_of[1] = address;
    return 1;
  }
  void remove_sub_conn(int sub_conn) {
    std::lock_guard lock(mu);
    int address = address_of.at(sub_conn);
    auto entry = std::make_shared<CacheEntry>();
    entry->sub_conn = sub_conn;
    cache[address] = entry;
    entry->deletion = stray::after_func(std::chrono::nanoseconds(0), [self = shared_from_this(), entry, address] {
      deletions.acquire();
      self->mu.lock();
      if (entry->abort_deleting) {
        self->mu.unlock();
        return;
      }
      self->address_of.erase(entry->sub_conn);
      self->cache.erase(address);
      self->mu.unlock();
    });
  }
};

void grpc3017(const stray::recv_chan<void>& step) {
  auto done = stray::make_chan<void>();
  auto ccc = std::make_shared<LbCacheClientConn>();
  int sc = ccc->new_sub_conn(1);
  stray::go([ccc, sc, step, done]() mutable {
    for (int i = 0; i < 2; i++) {
      ccc->remove_sub_conn(sc);
      step.recv();
      sc = ccc->new_sub_conn(1);
    }
    done.close();
  });
  ccc.reset();
  done.recv();
}

void start() {
  auto step = stray::make_chan<void>();
  stray::go(grpc3017, step);
  stray::testing::until_parked(3);  // the test, its goroutine before the second connection, the first deletion
  step.send();
  stray::testing::until_parked(4);  // and the second deletion
  deletions.release();
  while (stray::num_goroutine() > 4) stray::yield();  // the first one has ended
  step.send();
  deletions.release();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
