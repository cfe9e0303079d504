// Two channels, and the second is never reached.
#include "demo28.hpp"

static void create_leaked() {
  auto a = stray::make_chan<int>(), b = stray::make_chan<int>();
  stray::go([a, b] {
    demo28::line(1);
    a.send(1);
    b.send(2);
  });
}

int main() {
  create_leaked();
  return demo28::judge(18, 1);
}
