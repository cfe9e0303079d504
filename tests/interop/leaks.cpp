// One leak of every reason that src/runtime/wait_reasons.inc calls eligible, and next to them what must not be reported.
//
// The line of a wait carries `// waits: COUNT FUNCTION [REASON] TIER`, with TIER `healthy` for what may still be woken: the scripts compare
// profiles with these marks (marks.py). Commands on stdin: `write PROFILE DEBUG FILE`; at its end the program ends with status 0.
#include <fstream>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace {

stray::mutex left, right, left_locked, twice;
stray::once initialised;
stray::shared_mutex left_for_reading, left_for_writing;
stray::chan<int> in_use = stray::make_chan<int>();

}  // namespace

namespace shop {

[[gnu::noinline]] void receive_order(const stray::chan<int>& orders) {
  orders.recv();  // waits: 3 shop::receive_order [chan receive] proven
}
[[gnu::noinline]] void send_order(const stray::chan<int>& orders) {
  orders.send(1);  // waits: 1 shop::send_order [chan send] proven
}
[[gnu::noinline]] void receive_from_nil() {
  stray::chan<int>().recv();  // waits: 1 shop::receive_from_nil [chan receive (nil chan)] proven
}
[[gnu::noinline]] void send_to_nil() {
  stray::chan<int>().send(1);  // waits: 1 shop::send_to_nil [chan send (nil chan)] proven
}
[[gnu::noinline]] void select_either(const stray::chan<int>& in, const stray::chan<int>& out) {
  stray::select(stray::on_recv(in), stray::on_send(out, 1));  // waits: 2 shop::select_either [select] proven
}
[[gnu::noinline]] void select_nothing() {
  stray::select();  // waits: 1 shop::select_nothing [select (no cases)] proven
}
[[gnu::noinline]] void lock_abandoned() {
  left_locked.lock();  // waits: 1 shop::lock_abandoned [sync.Mutex.Lock] proven
}
[[gnu::noinline]] void lock_twice() {
  twice.lock();
  twice.lock();  // waits: 1 shop::lock_twice [sync.Mutex.Lock] cycle
}
[[gnu::noinline]] void left_then_right(const stray::chan<void>& both_hold) {
  std::lock_guard first(left);
  both_hold.send();
  right.lock();  // waits: 1 shop::left_then_right [sync.Mutex.Lock] cycle
}
[[gnu::noinline]] void right_then_left(const stray::chan<void>& both_hold) {
  std::lock_guard first(right);
  both_hold.recv();
  left.lock();  // waits: 1 shop::right_then_left [sync.Mutex.Lock] cycle
}
[[gnu::noinline]] void wait_for_group() {
  stray::wait_group group;
  group.add(1);
  group.wait();  // waits: 1 shop::wait_for_group [sync.WaitGroup.Wait] proven
}
[[gnu::noinline]] void wait_for_change() {
  stray::mutex m;
  stray::condition_variable changed;
  bool ready = false;
  std::unique_lock lock(m);
  while (!ready) changed.wait(lock);  // waits: 1 shop::wait_for_change [sync.Cond.Wait] proven
}
[[gnu::noinline]] void read_abandoned() {
  left_for_writing.lock_shared();  // waits: 1 shop::read_abandoned [sync.RWMutex.RLock] proven
}
[[gnu::noinline]] void write_abandoned() {
  left_for_reading.lock();  // waits: 1 shop::write_abandoned [sync.RWMutex.Lock] proven
}
[[gnu::noinline]] void initialise_again() {
  initialised.call([] {});  // waits: 1 shop::initialise_again [sync.Once.Do] cycle
}
[[gnu::noinline]] void acquire_slot() {
  stray::semaphore slots(0);
  slots.acquire();  // waits: 1 shop::acquire_slot [sync.Semaphore.Acquire] proven
}
[[gnu::noinline]] void wait_for_latch() {
  stray::latch opened(1);
  opened.wait();  // waits: 1 shop::wait_for_latch [sync.Latch.Wait] proven
}
[[gnu::noinline]] void arrive_alone() {
  stray::barrier both(2);
  both.arrive_and_wait();  // waits: 1 shop::arrive_alone [sync.Barrier.Wait] proven
}
[[gnu::noinline]] void receive_on_a_thread() {
  auto orders = stray::make_chan<int>();
  orders.recv();  // waits: 1 shop::receive_on_a_thread [chan receive] proven
}
[[gnu::noinline]] void receive_in_use(const stray::chan<int>& orders) {
  orders.recv();  // waits: 2 shop::receive_in_use [chan receive] healthy
}

}  // namespace shop

namespace {

// Leaves nothing in main's frame.
[[gnu::noinline]] void start() {
  stray::go([] { left_locked.lock(); });
  stray::go([] { left_for_reading.lock_shared(); });
  stray::go([] { left_for_writing.lock(); });
  while (stray::num_goroutine() != 0) stray::yield();
  stray::go(shop::lock_abandoned);
  stray::go(shop::read_abandoned);
  stray::go(shop::write_abandoned);
  stray::go([] { initialised.call(shop::initialise_again); });
  stray::go(shop::acquire_slot);
  stray::go(shop::wait_for_latch);
  stray::go(shop::arrive_alone);
  auto orders = stray::make_chan<int>();
  for (int i = 0; i < 3; i++) stray::go(shop::receive_order, orders);
  stray::go(shop::send_order, stray::make_chan<int>());
  stray::go(shop::receive_from_nil);
  stray::go(shop::send_to_nil);
  for (int i = 0; i < 2; i++) stray::go(shop::select_either, stray::make_chan<int>(), stray::make_chan<int>());
  stray::go(shop::select_nothing);
  stray::go(shop::lock_twice);
  auto both_hold = stray::make_chan<void>();
  stray::go(shop::left_then_right, both_hold);
  stray::go(shop::right_then_left, both_hold);
  stray::go(shop::wait_for_group);
  stray::go(shop::wait_for_change);
  for (int i = 0; i < 2; i++) stray::go(shop::receive_in_use, in_use);
  std::thread(shop::receive_on_a_thread).detach();
}

// The thread parks in its own time.
void until_all_are_parked() {
  stray::testing::until_parked(stray::num_goroutine());
  auto thread_is_parked = [] {
    for (const stray::leak::group& g : stray::leak::find().groups()) {
      if (g.goroutines[0].thread) return true;
    }
    return false;
  };
  while (!thread_is_parked()) stray::yield();
}

}  // namespace

int main() {
  start();
  until_all_are_parked();
  std::cout << "ready" << std::endl;
  for (std::string verb, profile, debug, file; std::cin >> verb >> profile >> debug >> file;) {
    std::ofstream out(file, std::ios::binary);
    stray::pprof::write(profile, out, std::stoi(debug));
    out.close();
    std::cout << "written" << std::endl;
  }
  return 0;
}
