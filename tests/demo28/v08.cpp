// A function and its argument.
#include "demo28.hpp"

static void receive(const stray::chan<int>& ch) {
  demo28::line(1);
  ch.recv();
}

static void create_leaked() {
  auto ch = stray::make_chan<int>();
  stray::go(receive, ch);
}

int main() {
  create_leaked();
  return demo28::judge(8, 1);
}
