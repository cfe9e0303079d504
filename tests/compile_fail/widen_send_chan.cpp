// There is no way back from a one-way handle.
// expect: (conversion from|no viable conversion from) .*send_chan<int>
#include <stray/chan.hpp>

stray::chan<int> widen(const stray::send_chan<int>& ch) {
  stray::chan<int> full = ch;
  return full;
}
