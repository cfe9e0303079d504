// The real-time signal that stops threads for a snapshot: the first one from SIGRTMIN up that nobody handles. Chosen once.
#pragma once

namespace stray::base {

int stop_signal() noexcept;

}  // namespace stray::base
