// The parent does not wait for the result.
#include <cstdlib>

#include "demo28.hpp"

[[gnu::noinline]] static bool timeout() { return std::getenv("NO_TIMEOUT") == nullptr; }

static int process() {
  auto result = stray::make_chan<int>();
  stray::go([result] {
    demo28::line(1);
    result.send(42);
  });
  if (timeout()) return -1;
  return *result.recv();
}

int main() {
  int got = process();
  std::printf("got %d\n", got);
  return demo28::judge(17, 1);
}
