// Names and lines of one leak in a lambda in a template in an inlined function, for symbols.py, which takes the debug information away in parts.
#include <iostream>
#include <string>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace shop {

template <class T>
struct queue {
  stray::chan<T> items = stray::make_chan<T>();
  inline void drain() {
    items.recv();  // line: inlined
  }
};

[[gnu::noinline]] void wait_here() {
  auto step = [q = queue<int>()]() mutable {
    q.drain();  // line: lambda
  };
  step();  // line: function
}

}  // namespace shop

int main() {
  stray::go(shop::wait_here);
  stray::testing::until_parked(1);
  std::cout << "ready " << reinterpret_cast<void*>(&shop::wait_here) << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
  }
}
