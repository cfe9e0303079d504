// Ten in a loop of main.
#include "demo28.hpp"

int main() {
  for (int i = 0; i < 10; i++) {
    auto ch = stray::make_chan<int>();
    stray::go([ch, i] {
      demo28::line(i);
      ch.recv();
    });
  }
  return demo28::judge(21, 10);
}
