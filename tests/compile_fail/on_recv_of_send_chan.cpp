// A case that receives needs a handle that may receive.
// expect: no matching (function for call to .*recv_chan|conversion .*recv_chan)
#include <stray/select.hpp>

void wait(const stray::send_chan<int>& ch) { stray::select(stray::on_recv(ch)); }
