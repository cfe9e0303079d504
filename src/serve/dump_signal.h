// STRAY_DUMP_SIGNAL=QUIT: at that signal the process writes its goroutines and its leaks to stderr, and goes on. Off by default.
//
// 1. The handler only counts; a thread of ours ("stray-dump") writes. Signals that come while it writes make one more dump.
// 2. The handler is installed before main: a program that installs its own later has decided otherwise.
// 3. Calls that the signal interrupts go on (SA_RESTART), but for those that never do (signal(7)).
#pragma once

namespace stray::serve {

// Says on stderr what is wrong with the setting; then nothing is installed.
void dump_by_environment() noexcept;
// In the child of a fork, whose runtime has started: the thread is made again.
void resume_dumps() noexcept;

}  // namespace stray::serve
