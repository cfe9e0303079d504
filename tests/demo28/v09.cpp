// printf before and after.
#include "demo28.hpp"

static void create_leaked() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    demo28::line(1);
    ch.recv();
  });
}

int main() {
  for (int i = 0; i < 5; i++) std::printf("before %d %f %s\n", i, i * 1.5, "text");
  create_leaked();
  for (int i = 0; i < 5; i++) std::printf("after %d %f %s\n", i, i * 1.5, "text");
  return demo28::judge(9, 1);
}
