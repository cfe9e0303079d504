// The function cannot be inlined.
#include "demo28.hpp"

[[gnu::noinline]] static void create_leaked() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    demo28::line(1);
    ch.recv();
  });
}

int main() {
  create_leaked();
  return demo28::judge(3, 1);
}
