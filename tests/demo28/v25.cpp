// Six frames deep.
#include "demo28.hpp"

[[gnu::noinline]] static void deep(const stray::chan<int>& ch, int level) {
  volatile char frame[64];
  frame[level] = 1;
  if (level > 0) {
    deep(ch, level - 1);
  } else {
    stray::go([ch] {
      demo28::line(1);
      ch.recv();
    });
  }
  static_cast<void>(frame[level]);  // no tail call
}

static void create_leaked() {
  auto ch = stray::make_chan<int>();
  deep(ch, 5);
}

int main() {
  create_leaked();
  return demo28::judge(25, 1);
}
