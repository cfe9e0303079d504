// A range receives.
// expect: (begin.*was not declared|invalid range expression)
#include <stray/chan.hpp>

int sum(const stray::send_chan<int>& ch) {
  int n = 0;
  for (int v : ch) n += v;
  return n;
}
