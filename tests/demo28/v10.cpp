// iostreams before, within and after.
#include <iostream>

#include "demo28.hpp"

static void create_leaked() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    std::cout << "waits\n" << std::flush;
    ch.recv();
  });
}

int main() {
  std::cout << "before " << 1.5 << std::endl;
  create_leaked();
  std::cout << "after " << 2.5 << " " << std::string(100, 'x') << std::endl;
  return demo28::judge(10, 1);
}
