// stray::panic: misuse of a channel, a select or a counter (wait_group, latch, ...) by the program, with Go's text in what().
#pragma once

#include <stdexcept>

#include <stray/detail/library_mode.hpp>

#pragma GCC visibility push(default)

namespace stray {

// Thrown, and may be caught. An exception of any type that leaves a goroutine ends the process as Go's panic does:
// `panic: <what()>`, the goroutine's trace, exit status 2.
class panic : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

}  // namespace stray

#pragma GCC visibility pop
