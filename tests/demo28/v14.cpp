// The channel is in an object that a unique_ptr keeps.
#include <memory>

#include "demo28.hpp"

static void create_leaked() {
  auto w = std::make_unique<demo28::worker>();
  stray::go([w = std::move(w)] {
    demo28::line(1);
    w->in.recv();
  });
}

int main() {
  create_leaked();
  return demo28::judge(14, 1);
}
