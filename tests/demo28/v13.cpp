// The channel is in an object that a shared_ptr keeps.
#include <memory>

#include "demo28.hpp"

static void create_leaked() {
  auto w = std::make_shared<demo28::worker>();
  stray::go([w] {
    demo28::line(1);
    w->in.recv();
  });
}

int main() {
  create_leaked();
  return demo28::judge(13, 1);
}
