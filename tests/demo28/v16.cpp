// The channel is returned and dropped at the end of a block.
#include "demo28.hpp"

static stray::chan<int> start() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    demo28::line(1);
    ch.send(1);
  });
  return ch;
}

int main() {
  {
    stray::chan<int> result = start();
    if (!result) return 1;
  }
  return demo28::judge(16, 1);
}
