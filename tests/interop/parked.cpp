// Goroutines that wait in different ways, and one that runs, for gdb_goroutines.py to look at. Calls everything_is_parked() when all of them are there,
// then ends: with status 0, or, with any argument, by abort(). Named functions only: compilers name lambdas differently.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <unistd.h>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace {

stray::mutex shelf;
stray::wait_group night;
int never_ready[2];
std::atomic<bool> listening;

}  // namespace

namespace shop {

[[gnu::noinline]] int receive_order(const stray::chan<int>& orders) {
  int shelf_number = orders.recv().value_or(0);
  return shelf_number + 1;
}
[[gnu::noinline]] int serve(const stray::chan<int>& orders) { return receive_order(orders) + 1; }
[[gnu::noinline]] void take_from_shelf() {
  shelf.lock();
  shelf.unlock();
}
[[gnu::noinline]] void choose(const stray::chan<int>& in, const stray::chan<int>& out) {
  stray::select(stray::on_recv(in), stray::on_send(out, 1));
}
[[gnu::noinline]] void wait_for_night() {
  night.add(1);
  night.wait();
}
[[gnu::noinline]] void listen() {
  listening = true;
  char byte;
  while (read(never_ready[0], &byte, 1) == 1) std::puts("a byte came");
}

[[gnu::noinline]] void open(const stray::chan<int>& orders, const stray::chan<int>& other) {
  stray::go(serve, orders);
  stray::go({.name = "stocktaker"}, take_from_shelf);
  stray::go(choose, orders, other);
  stray::go(wait_for_night);
  stray::go(listen);
}

}  // namespace shop

extern "C" [[gnu::noinline]] void everything_is_parked() { asm volatile(""); }

int main(int argc, char**) {
  auto orders = stray::make_chan<int>(), other = stray::make_chan<int>();
  if (pipe(never_ready) != 0) return 1;
  std::lock_guard hold(shelf);
  shop::open(orders, other);
  while (!listening) stray::yield();  // no send: whom a receiver has woken may not run yet
  stray::testing::until_parked(4);
  everything_is_parked();
  if (argc > 1) std::abort();
  return 0;
}
