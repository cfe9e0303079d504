// The demo of examples/leak_demo.cpp, without its endpoint: matrix.py runs it a hundred times.
#include "demo28.hpp"

static void create_leaked_goroutine() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    std::printf("a goroutine waits\n");
    ch.recv();
  });
}

int main() {
  create_leaked_goroutine();
  return demo28::judge(0, 1);
}
