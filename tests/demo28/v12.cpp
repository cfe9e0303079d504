// Ten channels in a vector that grows.
#include <vector>

#include "demo28.hpp"

static void create_leaked() {
  std::vector<stray::chan<int>> channels;
  for (int i = 0; i < 10; i++) {
    channels.push_back(stray::make_chan<int>());
    stray::go([ch = channels.back()] {
      demo28::line(1);
      ch.recv();
    });
  }
}

int main() {
  create_leaked();
  return demo28::judge(12, 10);
}
