// std::bind keeps the channel.
#include <functional>

#include "demo28.hpp"

static void receive(const stray::chan<int>& ch) {
  demo28::line(1);
  ch.recv();
}

static void create_leaked() {
  auto ch = stray::make_chan<int>();
  stray::go(std::bind(receive, ch));
}

int main() {
  create_leaked();
  return demo28::judge(5, 1);
}
