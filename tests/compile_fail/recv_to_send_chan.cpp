// A recv_chan does not become a send_chan.
// expect: (conversion from|no viable conversion from) .*recv_chan<int>
#include <stray/chan.hpp>

void turn(const stray::recv_chan<int>& ch) { stray::send_chan<int> other = ch; }
