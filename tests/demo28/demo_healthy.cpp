// The healthy twin: main holds the channel and closes it after the report, so nothing may be found.
#include "demo28.hpp"

static stray::chan<int> create_goroutine() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    std::printf("a goroutine waits\n");
    ch.recv();
  });
  return ch;
}

int main() {
  auto ch = create_goroutine();
  int status = demo28::judge(0, 1);
  ch.close();
  return status;
}
