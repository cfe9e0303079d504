// The channel is moved into the closure.
#include "demo28.hpp"

static void create_leaked() {
  auto ch = stray::make_chan<int>();
  stray::go([ch = std::move(ch)] {
    demo28::line(1);
    ch.recv();
  });
}

int main() {
  create_leaked();
  return demo28::judge(2, 1);
}
