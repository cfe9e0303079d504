// Three goroutines, a mutex and two shared_mutexes, each held by one and wanted by the next.
// blind: it goes on when it has found its leak
// expect: 1 a_then_b [sync.RWMutex.RLock] cycle @b
// expect: 1 b_then_c [sync.RWMutex.Lock] cycle @c
// expect: 1 c_then_a [sync.Mutex.Lock] cycle @a
#include "report.hpp"

stray::mutex lock_a;
stray::shared_mutex lock_b, lock_c;

void a_then_b(const stray::chan<void>& go_on) {
  lock_a.lock();
  go_on.recv();
  lock_b.lock_shared();  // here: b
}
void b_then_c(const stray::chan<void>& go_on) {
  lock_b.lock();
  go_on.recv();
  lock_c.lock();  // here: c
}
void c_then_a(const stray::chan<void>& go_on) {
  lock_c.lock_shared();
  go_on.recv();
  lock_a.lock();  // here: a
}

int main() {
  {
    auto go_on = stray::make_chan<void>();
    stray::go(a_then_b, go_on);
    stray::go(b_then_c, go_on);
    stray::go(c_then_a, go_on);
    stray::testing::until_parked(3);
    go_on.close();
  }
  while (stray::leak::find().total() < 3) stray::yield();
  return report::print();
}
