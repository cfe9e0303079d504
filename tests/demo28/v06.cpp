// A std::function, copied.
#include <functional>

#include "demo28.hpp"

static void create_leaked() {
  auto ch = stray::make_chan<int>();
  std::function<void()> f = [ch] {
    demo28::line(1);
    ch.recv();
  };
  stray::go(f);
}

int main() {
  create_leaked();
  return demo28::judge(6, 1);
}
