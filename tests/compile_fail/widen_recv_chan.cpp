// There is no way back from a one-way handle, by a constructor either.
// expect: protected (within this context|constructor)
#include <stray/chan.hpp>

void widen(const stray::recv_chan<int>& ch) { stray::chan<int> full(ch); }
