// On an OS thread that ends.
#include <thread>

#include "demo28.hpp"

static void create_leaked() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    demo28::line(1);
    ch.recv();
  });
}

int main() {
  std::thread(create_leaked).join();
  return demo28::judge(23, 1);
}
