// A function returns the closure.
#include "demo28.hpp"

static auto closure() {
  auto ch = stray::make_chan<int>();
  return [ch] {
    demo28::line(1);
    ch.recv();
  };
}

int main() {
  stray::go(closure());
  return demo28::judge(22, 1);
}
