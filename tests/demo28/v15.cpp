// The channel is returned and dropped at once.
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
  start();
  return demo28::judge(15, 1);
}
