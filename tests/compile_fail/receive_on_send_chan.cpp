// A send_chan cannot receive.
// expect: no member named .*recv
#include <stray/chan.hpp>

void receive(const stray::send_chan<int>& ch) { ch.recv(); }
