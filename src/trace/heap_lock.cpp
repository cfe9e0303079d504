#include "trace/heap_lock.h"

#include <atomic>
#include <ctime>

#include "base/clock.h"
#include "base/sync_shim.h"

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

// f(arena): false ends the walk.
template <class F>
void each_arena(const heap_facts& facts, F f) noexcept {
  if (facts.source != heap_glibc) return;
  std::uintptr_t at = facts.glibc.main_arena;
  do {
    if (!f(at)) return;
    at = *reinterpret_cast<const volatile std::uintptr_t*>(at + facts.glibc.next);
  } while (at != facts.glibc.main_arena);
}

}  // namespace

bool try_heap_locks(const heap_facts& facts) noexcept {
  bool all = true;
  each_arena(facts, [&](std::uintptr_t arena) {
    if (is_held(arena)) return true;
    std::uint32_t expected = 0;
    if (held_count < most && lock_word(arena).compare_exchange_strong(expected, 1)) {
      held[held_count++] = arena;
    } else {
      all = false;
    }
    return true;
  });
  return all;
}

bool wait_heap_locks(const heap_facts& facts, std::int64_t deadline_ns) noexcept {
  bool all = true;
  each_arena(facts, [&](std::uintptr_t arena) {
    if (is_held(arena)) return true;
    if (held_count < most && wait_lock(arena, deadline_ns)) {
      held[held_count++] = arena;
    } else {
      all = false;
    }
    return true;
  });
  return all;
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
