// A send_chan does not become a recv_chan.
// expect: (conversion from|no viable conversion from) .*send_chan<int>
#include <stray/chan.hpp>

void turn(const stray::send_chan<int>& ch) { stray::recv_chan<int> other = ch; }
