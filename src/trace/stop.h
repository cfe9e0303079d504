// Stops the threads of this process by a real-time signal and lets them go again; others it only looks at.
//
// 1. One caller at a time (the detector thread). Nothing here allocates by malloc, takes a lock or touches errno; between stop_threads
//    and release_threads the caller must keep to the same.
// 2. A thread is stopped when its handler has answered: it then waits inside the handler, its registers in `context`, until release or
//    until 5 s have passed (the detector died): then the stop is void for it, and still_stopped() says so.
// 3. A thread that blocks the signal, waits for it in sigwait (which would return it), or does not answer, is stopped by ptrace
//    (ptrace_stop.h). Where that cannot be it is reported with stopped = false and a note, and nothing may be proven.
// 4. The listing is repeated until it shows no new thread: a running thread may start others, stopped ones cannot.
// 5. A thread that is only looked at gets no signal: its blocking call cannot come back because of us. What is known of it is whether it
//    slept in the kernel, and where its stack then ended; never its registers. have_run() says afterwards whether any of them has run.
// 6. Who is to be spared and sleeps is stopped by ptrace, where that is allowed: no handler runs, so poll, nanosleep and their like restart.
//    Else, or if it does not stop in time, by the signal like the others.
// 7. Before each stop the kernel is asked whether the handler is still ours; a real-time signal's default is to kill.
//
// The slot of a thread, in a table keyed by thread id: state, who may leave it, to where
//   listed    caller    asked (signal sent) | held_back (blocks it, or is spared) | gone
//   looked    caller    listed (look_if_asleep, and it does not sleep)
//   asked     handler   stopped             | caller: held_back (did not answer), gone (exited)
//   held_back helper    stopped, gone       | caller: given_up, listed (spared, and ptrace did not do)
//   stopped   handler, helper  left (timed out) | the next prepare_stop clears the table
// A signal that arrives late finds no slot `asked` and returns at once.
//
// Figures (decision 0016): 8 threads 55-75 us median. Rejected as the first means: ptrace (15-17 us a thread, may be forbidden).
#pragma once

#include <cstdint>

#include "trace/image_types.h"

namespace stray::trace {

struct stop_setup {
  int signal = 0;                    // 0: none could be had
  std::uintptr_t signal_return = 0;  // see thread_layout
};

// Once, at start-up: chooses the first real-time signal whose disposition is the default and installs the handler.
bool init_stop(stop_setup& setup) noexcept;

enum class stop_result : std::uint8_t {
  done,    // every thread answered, was skipped, or is reported as not stopped
  cannot,  // the handler was replaced or memory is short; a note says it
};

enum class stop_way : std::uint8_t {
  stop,
  spare,           // stopped; one that sleeps rather by ptrace, after which its call restarts unseen
  skip,            // neither stopped nor looked at
  look,            // only looked at
  look_if_asleep,  // stopped if it turns out to run
};
using choose_way = stop_way (*)(void* arg, int tid) noexcept;  // may be null: stop

// Lists the threads and looks at each while all of them run: what would prolong the pause is done here.
bool prepare_stop(choose_way way, void* arg, note_log& notes) noexcept;
stop_result stop_threads(note_log& notes) noexcept;
// Valid until the next prepare_stop.
slice<stopped_thread> stopped_threads() noexcept;
// Of the threads that are only looked at: how many there are, how many of them did not sleep when stop_threads looked at them, and how many
// have run since then or may have.
unsigned looked_at() noexcept;
unsigned looked_awake() noexcept;
unsigned have_run() noexcept;
// How many signals were sent, ever.
std::uint64_t signals_sent() noexcept;
// False when a stopped thread has run on by its time-out.
bool still_stopped() noexcept;
void release_threads() noexcept;
// The tables' addresses: never scanned.
// In the child of a fork. It may lack the handler: the kernel copies handlers before memory, which then says that there is one.
void forget_stop() noexcept;
slice<const range> stop_memory() noexcept;
range stop_record() noexcept;  // the variable that holds their bounds

}  // namespace stray::trace
