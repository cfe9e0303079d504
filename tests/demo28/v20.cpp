// A map, its entry erased.
#include <map>
#include <string>

#include "demo28.hpp"

int main() {
  std::map<std::string, stray::chan<int>> channels;
  channels["one"] = stray::make_chan<int>();
  stray::go([ch = channels["one"]] {
    demo28::line(1);
    ch.recv();
  });
  channels.erase("one");
  return demo28::judge(20, 1);
}
