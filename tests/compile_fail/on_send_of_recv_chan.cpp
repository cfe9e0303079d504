// A case that sends needs a handle that may send.
// expect: no matching (function for call to .*send_chan|conversion .*send_chan)
#include <stray/select.hpp>

void wait(const stray::recv_chan<int>& ch) { stray::select(stray::on_send(ch, 1)); }
