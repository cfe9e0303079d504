// An optional, reset.
#include <optional>

#include "demo28.hpp"

int main() {
  std::optional<stray::chan<int>> kept;
  kept = stray::make_chan<int>();
  stray::go([ch = *kept] {
    demo28::line(1);
    ch.recv();
  });
  kept.reset();
  return demo28::judge(19, 1);
}
