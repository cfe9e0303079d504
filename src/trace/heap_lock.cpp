#include "trace/heap_lock.h"

#include <atomic>
#include <cerrno>
#include <ctime>
#include <linux/futex.h>

#include "base/arch.h"
#include "base/clock.h"
#include "base/sync_shim.h"
#include "base/syscalls.h"

namespace stray::trace {
namespace {

constexpr std::size_t most = 4096;
constinit std::uintptr_t held[most];
constinit std::size_t held_count = 0;

std::atomic<std::uint32_t>& lock_word(std::uintptr_t arena) noexcept {
  return *reinterpret_cast<std::atomic<std::uint32_t>*>(arena);
}

bool is_held(std::uintptr_t arena) noexcept {
  for (std::size_t i = 0; i < held_count; i++) {
    if (held[i] == arena) return true;
  }
  return false;
}

bool wait_lock(std::uintptr_t arena, std::int64_t deadline_ns) noexcept {
  std::atomic<std::uint32_t>& word = lock_word(arena);
  std::uint32_t expected = 0;
  if (word.compare_exchange_strong(expected, 1)) return true;
  while (word.exchange(2) != 0) {
    std::int64_t rest = deadline_ns - base::now_ns();
    if (rest <= 0) return false;  // the 2 stays: its holder makes one wake too many
    timespec t = base::to_timespec(rest);
    base::futex_wait(word, 2, &t);
  }
  return true;
}

// The kernel copies the 8 bytes before it sees that the request makes no sense.
bool readable(std::uintptr_t at) noexcept {
  constexpr long no_request = ~0L;
  return base::sys::call(SYS_rt_sigprocmask, no_request, static_cast<long>(at), 0, 8) != -EFAULT;
}

// The kernel writes back what is there, at once, and wakes nobody.
bool writable(std::uintptr_t at) noexcept {
  std::uint32_t ours = 0;
  constexpr int or_nothing = static_cast<int>(FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0xfff));
  return base::sys::call(SYS_futex, base::sys::arg(&ours), FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, static_cast<long>(at),
                         or_nothing) != -EFAULT;
}

bool read_word(std::uintptr_t at, std::uintptr_t& word) noexcept {
  if ((at & 7) != 0 || !readable(at)) return false;
  word = *reinterpret_cast<const volatile std::uintptr_t*>(at);
  return true;
}

bool is_arena(std::uintptr_t at, const glibc_facts& g) noexcept {
  if (at == g.main_arena) return true;
  const std::uintptr_t header = at & (base::page_size - 1);
  std::uintptr_t owner = 0;
  return (header == 0x20 || header == 0x30) && read_word(at - header, owner) && owner == at && writable(at);
}

// f(arena). False: the list is damaged.
template <class F>
bool each_arena(const heap_facts& facts, F f) noexcept {
  if (facts.source != heap_glibc) return true;
  std::uintptr_t at = facts.glibc.main_arena;
  for (std::size_t n = 0; n < most; n++) {
    if (!is_arena(at, facts.glibc)) return false;
    f(at);
    if (!read_word(at + facts.glibc.next, at)) return false;
    if (at == facts.glibc.main_arena) return true;
  }
  return false;
}

// take(arena): true if its lock is held now.
template <class F>
heap_locks take_locks(const heap_facts& facts, F take) noexcept {
  bool all = true;
  const bool sound = each_arena(facts, [&](std::uintptr_t arena) {
    if (is_held(arena)) return;
    if (held_count < most && take(arena)) {
      held[held_count++] = arena;
    } else {
      all = false;
    }
  });
  if (!sound) drop_heap_locks();
  return !sound ? heap_locks::damaged : all ? heap_locks::all : heap_locks::some;
}

}  // namespace

heap_locks try_heap_locks(const heap_facts& facts) noexcept {
  return take_locks(facts, [](std::uintptr_t arena) {
    std::uint32_t expected = 0;
    return lock_word(arena).compare_exchange_strong(expected, 1);
  });
}

heap_locks wait_heap_locks(const heap_facts& facts, std::int64_t deadline_ns) noexcept {
  return take_locks(facts, [=](std::uintptr_t arena) { return wait_lock(arena, deadline_ns); });
}

void forget_heap_locks() noexcept { held_count = 0; }

void drop_heap_locks() noexcept {
  while (held_count != 0) {
    std::atomic<std::uint32_t>& word = lock_word(held[--held_count]);
    if (word.exchange(0) > 1) base::futex_wake(word, 1);
  }
}

slice<const std::uintptr_t> held_heap_locks() noexcept { return {held, held_count}; }

}  // namespace stray::trace
