// A pair of channels, taken apart.
#include "demo28.hpp"

static std::pair<stray::chan<int>, stray::chan<int>> two() {
  auto a = stray::make_chan<int>(), b = stray::make_chan<int>();
  stray::go([a, b] {
    demo28::line(1);
    a.send(1);
    b.send(1);
  });
  return {a, b};
}

int main() {
  {
    auto [a, b] = two();
    if (!a || !b) return 1;
  }
  return demo28::judge(26, 1);
}
