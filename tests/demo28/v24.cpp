// The function leaves by an exception.
#include <stdexcept>

#include "demo28.hpp"

static void create_leaked() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    demo28::line(1);
    ch.recv();
  });
  throw std::runtime_error("early");
}

int main() {
  try {
    create_leaked();
  } catch (const std::exception& e) {
    std::printf("%s\n", e.what());
  }
  return demo28::judge(24, 1);
}
