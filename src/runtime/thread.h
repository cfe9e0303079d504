// The records of OS threads (make_thread_task in current.h), and what identifies one: its TID together with its start time, since TIDs are used again.
#pragma once

#include <cstdint>

namespace stray::runtime {

std::uint64_t thread_start_time(int tid) noexcept;  // field 22 of its stat; 0: there is no such thread

void forget_ended_threads() noexcept;  // in the child of a fork

char thread_state(int tid) noexcept;  // the letter of its stat: R runs, S and D sleep; 0: there is no such thread

}  // namespace stray::runtime
