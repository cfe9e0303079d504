// std::any keeps the channel and is reset.
#include <any>

#include "demo28.hpp"

int main() {
  std::any kept = stray::make_chan<int>();
  stray::go([ch = std::any_cast<stray::chan<int>>(kept)] {
    demo28::line(1);
    ch.recv();
  });
  kept.reset();
  return demo28::judge(27, 1);
}
