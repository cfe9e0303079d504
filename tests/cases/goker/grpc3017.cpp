// A connection that is removed is deleted some time later, unless somebody asks for it before. The first deletion finds that somebody did,
// and ends without unlocking; the next deletion and the next who wants a connection wait for the lock, and the test waits for the latter.
// expect: 1 LbCacheClientConn::remove_sub_conn::lambda [sync.Mutex.Lock] proven @deletion
// expect: 1 LbCacheClientConn::new_sub_conn [sync.Mutex.Lock] proven @next
// expect: 1 grpc3017 [chan receive] proven @done
// go: allowed
// cause: is held by goroutine or thread N, which has ended without unlocking it
// cause: it waits for goroutine N, leaked at @next [sync.Mutex.Lock]
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
    std::lock_guard lock(mu);  // here: next
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
      self->mu.lock();  // here: deletion
      if (entry->abort_deleting) return;
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
  done.recv();  // here: done
}

void start() {
  auto step = stray::make_chan<void>();
  stray::go(grpc3017, step);
  stray::testing::until_parked(3);  // the test, its goroutine before the second connection, the first deletion
  step.send();
  stray::testing::until_parked(4);  // and the second deletion
  deletions.release();
  while (stray::num_goroutine() > 4) stray::yield();  // the first one has ended
  deletions.release();
  stray::testing::until_parked(3);
  step.send();
  stray::testing::until_parked(3);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
