// Who may report a failure and end the process.
#pragma once

namespace stray::base {

// True for the first thread that asks. Another one waits until that one has ended the process (10 s at most: it may need a lock of ours),
// and then is told to end it at once; so is one that fails while it reports.
bool first_failure() noexcept;

}  // namespace stray::base
