// A recv_chan cannot send.
// expect: no member named .*send
#include <stray/chan.hpp>

void send(const stray::recv_chan<int>& ch) { ch.send(1); }
