// Channels carry values.
// expect: static assertion failed.*a channel carries values
#include <stray/chan.hpp>

stray::chan<int&> ch;
