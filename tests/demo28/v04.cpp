// In a block of main.
#include "demo28.hpp"

int main() {
  {
    auto ch = stray::make_chan<int>();
    stray::go([ch] {
      demo28::line(1);
      ch.recv();
    });
  }
  return demo28::judge(4, 1);
}
