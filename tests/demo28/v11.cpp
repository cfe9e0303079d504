// Three channels in a vector.
#include <vector>

#include "demo28.hpp"

static void create_leaked() {
  std::vector<stray::chan<int>> channels(3);
  for (auto& ch : channels) ch = stray::make_chan<int>();
  for (auto& ch : channels) {
    stray::go([ch] {
      demo28::line(1);
      ch.recv();
    });
  }
}

int main() {
  create_leaked();
  return demo28::judge(11, 3);
}
