// Who may report a failure and end the process, and who has to wait for that.
//
// 1. A process ends once: by the first thread that fails, or by the one that has come to the end of exit. One word decides between them.
// 2. Whoever fails later, or ends the process in another way (return from main, exit, quick_exit), waits until the first one's report is
//    whole and that one has ended the process, with its status. As in Go, where the end of main waits for a panic.
// 3. Nobody waits for ever: a report that has not grown for 10 s (it may need a lock that somebody holds) is given up.
//    The reporter ends the process itself then (end_when_stuck): what it needs to name functions may be held by a thread that will never
//    let go, and a service that neither works nor ends is not started again.
// 4. The reporter itself cannot end the process in another way: exit in a what() that it calls ends it with the status of a failure.
// 5. A failure that begins after exit has run its last handler comes too late and prints nothing.
// _exit is not waited for, nor is a signal that kills.
#pragma once

#include <cstdint>

namespace stray::base {

// of_others: another thread's std::terminate, whose handler is not ours and may do anything: exit goes on if it does not end the process.
enum class failure : std::uint8_t { ours, of_others };

// True for the first thread that asks. Another one waits (2), and then is told to end the process at once; so is one that fails while it
// reports.
bool first_failure(failure kind = failure::ours) noexcept;
// By the reporter and its helpers: the report grows.
void report_grows() noexcept;
// By the reporter, before it calls anything that may not return: ends the process with status 2 once the report has stood still for as long.
// Takes the program's SIGALRM.
inline constexpr unsigned report_patience_s = 10;
void end_when_stuck(unsigned patience_s = report_patience_s) noexcept;
// Around code of the program's that the reporter calls, which may do anything instead of returning: `words` says what is known without it. nullptr: none.
void set_last_words(void (*words)() noexcept) noexcept;
// The reporter has called exit, std::terminate, or crashed, in such code: its last words, the dump, and the end with status 2. Without last words
// only the end.
[[noreturn]] void finish_report() noexcept;
bool is_reporter() noexcept;  // of a failure of ours
// By whoever is about to end the process: does not return while somebody else fails.
void wait_for_failure() noexcept;
// In the child of a fork: who failed there was another process.
void forget_failure() noexcept;

}  // namespace stray::base
