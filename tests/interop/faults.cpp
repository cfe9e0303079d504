// Ends, or does not, by what the argument names: `overflow`, `exception`, `int`, `panic`, or `settings`, which prints what it runs with.
#include <iostream>
#include <stdexcept>
#include <string>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace shop {

int sink;

[[gnu::noinline]] int recurse(int depth) {
  volatile char frame[256] = {};
  frame[depth & 255] = 1;
  return depth < 0 ? 0 : recurse(depth + 1) + frame[0];  // here: overflow
}
[[gnu::noinline]] void take_order() {
  throw std::runtime_error("no such order");  // here: exception
}
[[gnu::noinline]] void take_number() {
  throw 42;  // here: int
}
[[gnu::noinline]] void close_twice() {
  auto ch = stray::make_chan<int>();
  ch.close();
  ch.close();  // here: panic
}
[[gnu::noinline]] void wait_for_order(const stray::chan<int>& orders) { orders.recv(); }

}  // namespace shop

int main(int, char** argv) {
  const std::string what = argv[1];
  if (what == "settings") {
    std::cout << "maxprocs " << stray::maxprocs() << std::endl;
    auto done = stray::make_chan<void>();
    stray::go([done] { done.send(); });
    done.recv();
    return 0;
  }
  auto orders = stray::make_chan<int>();
  stray::go(shop::wait_for_order, orders);
  stray::testing::until_parked(1);
  if (what == "overflow") stray::go([] { shop::sink = shop::recurse(0); });
  if (what == "exception") stray::go(shop::take_order);
  if (what == "int") stray::go(shop::take_number);
  if (what == "panic") stray::go(shop::close_twice);
  stray::make_chan<int>().recv();
  return 0;
}
