// A process of a fleet for cli.py: stdin `leak N` leaks N times on one line, `other N` and `batch N` on others; says how many are parked.
#include <iostream>
#include <string>
#include <utility>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace {

[[gnu::noinline]] void take_order() {
  stray::make_chan<int>().recv();  // leaks here
}
[[gnu::noinline]] void take_other() {
  stray::make_chan<int>().recv();  // leaks there
}
template <class T>
[[gnu::noinline]] void take_batch() {
  stray::make_chan<T>().recv();
}

}  // namespace

int main() {
  auto held = stray::make_chan<int>();
  stray::go([held] { held.recv(); });  // goroutine 1: kept alive by main
  stray::testing::until_parked(1);
  std::size_t parked = 1;
  std::cout << "ready " << parked << std::endl;
  std::string command;
  for (std::size_t n = 0; std::cin >> command >> n;) {
    auto leak = command == "leak" ? take_order : command == "other" ? take_other : take_batch<std::pair<int, int>>;
    for (std::size_t i = 0; i < n; i++) stray::go(leak);
    stray::testing::until_parked(parked += n);
    std::cout << "ready " << parked << std::endl;
  }
  held.close();
}
