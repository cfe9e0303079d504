// Takes glibc's arena locks for the time of the clone, as its own lll_lock does: 0 free, 1 held, 2 held and somebody sleeps.
//
// 1. The detector thread exists from start-up: a process with one thread skips these locks altogether.
// 2. Whoever holds them calls nothing that allocates.
// 3. Before the stop a lock is waited for (its holder runs); after the stop it is only tried (its holder may be stopped).
// 4. The list of arenas lies in the program's memory, and may be damaged. So an arena is neither locked nor asked for the next one before its
//    pages have answered: the kernel is asked whether they can be read and written (by calls that any filter allows), and but for the main
//    one its heap's header must lead back to it. glibc gives no such page back, so what has answered stays. At most 4096 arenas; if the list is
//    longer, a ring of its own, or leads elsewhere, nothing is held and there is no snapshot.
// Figures (decision 0017, 8 threads doing nothing but malloc): merely looking at the locks never ends; locking first: 0 wrong of 800.
#pragma once

#include <cstdint>

#include "trace/heap_source.h"

namespace stray::trace {

enum class heap_locks : std::uint8_t {
  all,      // are held now
  some,     // are held: others are busy
  damaged,  // see 4: none is held
};
// Tries each lock once.
heap_locks try_heap_locks(const heap_facts& facts) noexcept;
// Waits for each, together at most until `deadline_ns`.
heap_locks wait_heap_locks(const heap_facts& facts, std::int64_t deadline_ns) noexcept;
void forget_heap_locks() noexcept;  // in the child of a fork, where malloc has made its locks anew
void drop_heap_locks() noexcept;
slice<const std::uintptr_t> held_heap_locks() noexcept;

}  // namespace stray::trace
