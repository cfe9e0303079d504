#include "runtime/stack.h"

#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <utility>

#include "base/check.h"
#include "base/read_file.h"
#include "runtime/context.h"
#include "runtime/fiber.h"
#include "runtime/task.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

namespace stray::runtime {

namespace {

// One size class. owner[i] is the task bound to stack i; link[i] chains the free ones, the last used first.
struct stack_class_slab {
  base::spin_lock lock;
  std::uintptr_t committed = 0;
  task** owner = nullptr;
  std::uint32_t* link = nullptr;
  std::uintptr_t tables_committed = 0;
  base::range tables;
  std::uint32_t free = 0, free_clean = 0;  // index + 1; clean: without pages
};
constinit stack_class_slab slabs[stack_classes];
constinit stack_view views[stack_classes];
constexpr std::size_t tops = 32;  // rule 4; the lowest top and what is cleaned below it are in one page
static_assert(tops * base::cache_line + entry_cleans <= base::page_size);
constexpr std::size_t hot_stacks = 64, trimmed_a_call = 1024;
#if defined(STRAY_ASAN)
std::atomic<int> guard_by_madvise{0};  // LeakSanitizer reads what the maps call readable
#else
std::atomic<int> guard_by_madvise{-1};  // -1: not tried
#endif

std::atomic<std::size_t> split_guards{0};  // by mprotect: each makes two mappings more

// Three quarters of the process's mappings; the rest is for its threads, its malloc and its files.
std::size_t most_split_guards() noexcept {
  std::size_t limit = 65530;
  char text[32] = {};
  if (base::read_file("/proc/sys/vm/max_map_count", text, sizeof text) && *text != '\0')
    limit = std::strtoull(text, nullptr, 10);
  return limit / 8 * 3;
}

std::size_t capacity_bytes(unsigned c) noexcept {
  std::size_t full = c == 0 ? std::size_t{256} << 30 : std::size_t{32} << 30;  // 4 M small stacks
  std::size_t bytes = full >> base::reservation_shrink();
  return bytes < stack_size_of(c) ? 0 : bytes & ~(stack_size_of(c) - 1);
}

bool install_guard(std::uintptr_t lo) noexcept {
  int how = guard_by_madvise.load(std::memory_order_relaxed);  // order: a hint; both answers are right
  if (how != 0) {
    if (madvise(reinterpret_cast<void*>(lo), base::page_size, MADV_GUARD_INSTALL) == 0) {
      if (how < 0) guard_by_madvise.store(1, std::memory_order_relaxed);  // order: as above
      return true;
    }
    if (how > 0 || errno != EINVAL) return false;
    guard_by_madvise.store(0, std::memory_order_relaxed);  // order: as above
  }
  static const std::size_t most = most_split_guards();
  if (split_guards.load(std::memory_order_relaxed) < most) {  // order: a bound that may be passed by a few
    if (mprotect(reinterpret_cast<void*>(lo), base::page_size, PROT_NONE) == 0) {
      split_guards.fetch_add(1, std::memory_order_relaxed);  // order: as above
      return true;
    }
    if (errno != ENOMEM) return false;
  }
  static std::atomic<bool> said{false};
  if (!said.exchange(true)) {
    base::say(
        "stray: further goroutine stacks have no guard page: the process has too many mappings; raise vm.max_map_count "
        "(sysctl), or use Linux 6.13 or later");
  }
  return true;
}

bool commit_to(std::uintptr_t& committed, const base::range& where, std::uintptr_t end, std::size_t step) noexcept {
  if (committed == 0) committed = where.lo;
  while (committed < end) {
    std::size_t n = step;
    if (committed + n > where.hi) n = where.hi - committed;
    if (n == 0 || !base::commit(committed, n)) return false;
    committed += n;
  }
  return true;
}

// Index of a free stack, or of a new one; -1 when there is none.
std::int64_t take(unsigned c) noexcept {
  stack_class_slab& s = slabs[c];
  stack_view& v = views[c];
  s.lock.lock();
  std::int64_t index = -1;
  if (s.free != 0) {
    index = s.free - 1;
    s.free = s.link[index];
  } else if (s.free_clean != 0) {
    index = s.free_clean - 1;
    s.free_clean = s.link[index];
  } else {
    std::size_t n = v.used.load(std::memory_order_relaxed);  // order: written under the lock only
    std::size_t size = stack_size_of(c);
    if (v.where.lo == 0) {
      std::size_t bytes = capacity_bytes(c);
      if (bytes != 0) {
        const base::range where = base::carve(bytes);
        std::size_t count = bytes / size;
        std::size_t table = base::page_up(count * (sizeof(task*) + sizeof(std::uint32_t)));
        s.tables = base::carve(table);
        s.owner = reinterpret_cast<task**>(s.tables.lo);
        v.owner = s.owner;
        s.link = reinterpret_cast<std::uint32_t*>(s.tables.lo + count * sizeof(task*));
        base::commit(s.tables.lo, table);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        v.where = where;  // last: the child of a fork may see the half of it
      }
    }
    std::uintptr_t lo = v.where.lo + n * size;
    std::size_t step = size > (std::size_t{16} << 20) ? size : std::size_t{16} << 20;
    if (lo != 0 && lo + size <= v.where.hi && commit_to(s.committed, v.where, lo + size, step) && install_guard(lo)) {
      index = static_cast<std::int64_t>(n);
      v.used.store(n + 1, std::memory_order_release);  // order: pairs with stack_owner's acquire
    }
  }
  s.lock.unlock();
  return index;
}

std::int64_t locate(std::uintptr_t address, unsigned* stack_class) noexcept {
  for (unsigned c = 0; c < stack_classes; c++) {
    const stack_view& v = views[c];
    if (!v.where.holds(address)) continue;
    std::size_t index = (address - v.where.lo) / stack_size_of(c);
    if (index >= v.used.load(std::memory_order_acquire)) return -1;  // order: pairs with take's release
    *stack_class = c;
    return static_cast<std::int64_t>(index);
  }
  return -1;
}

}  // namespace

unsigned stack_class_for(std::size_t bytes) noexcept {
  if (bytes <= smallest_stack) return 0;
  unsigned c = static_cast<unsigned>(std::bit_width((bytes - 1) / smallest_stack));
  return c < stack_classes ? c : stack_classes - 1;
}

bool bind_stack(task* t, unsigned c, spare_stack* spare) noexcept {
  bool spared = spare != nullptr && spare->number != 0 && spare->stack_class == c;
  std::int64_t index = spared ? std::exchange(spare->number, 0) - std::int64_t{1} : take(c);
  if (index < 0) return false;
  std::uintptr_t lo = views[c].where.lo + static_cast<std::size_t>(index) * stack_size_of(c);
  t->stack_class = static_cast<std::uint8_t>(c);
  t->stack_lo = lo;
  t->stack_hi = lo + stack_size_of(c) - static_cast<std::size_t>(index) % tops * base::cache_line;
  slabs[c].owner[index] = t;
  return true;
}

void release_stack(task* t, spare_stack* spare) noexcept {
  fiber::forget_stack(t);
  stack_class_slab& s = slabs[t->stack_class];
  std::size_t index = (t->stack_lo - views[t->stack_class].where.lo) / stack_size_of(t->stack_class);
  t->stack_lo = t->stack_hi = 0;
  s.owner[index] = nullptr;
  if (spare != nullptr && spare->number == 0) {
    *spare = {static_cast<std::uint32_t>(index + 1), t->stack_class};
    return;
  }
  s.lock.lock();
  s.link[index] = s.free;
  s.free = static_cast<std::uint32_t>(index + 1);
  s.lock.unlock();
}

bool trim_stacks() noexcept {
  bool more = false;
  for (unsigned c = 0; c < stack_classes; c++) {
    stack_class_slab& s = slabs[c];
    // Taken out of the list, so that the lock is not held over a system call.
    std::uint32_t batch[trimmed_a_call];
    std::size_t n = 0;
    s.lock.lock();
    std::uint32_t* link = &s.free;
    for (std::size_t i = 0; *link != 0 && i < hot_stacks; i++) link = &s.link[*link - 1];
    while (*link != 0 && n < trimmed_a_call) {
      batch[n++] = *link - 1;
      *link = s.link[*link - 1];
    }
    more = more || *link != 0;
    s.lock.unlock();
    for (std::size_t i = 0; i < n; i++) {
      std::uintptr_t lo = views[c].where.lo + batch[i] * stack_size_of(c) + base::page_size;
      madvise(reinterpret_cast<void*>(lo), stack_size_of(c) - base::page_size, MADV_DONTNEED);
    }
    s.lock.lock();
    for (std::size_t i = 0; i < n; i++) {
      s.link[batch[i]] = s.free_clean;
      s.free_clean = batch[i] + 1;
    }
    s.lock.unlock();
  }
  return more;
}

void pass_stack(task* from, task* to) noexcept {
  stack_class_slab& s = slabs[from->stack_class];
  std::size_t index = (from->stack_lo - views[from->stack_class].where.lo) / stack_size_of(from->stack_class);
  to->stack_class = from->stack_class;
  to->stack_lo = from->stack_lo;
  to->stack_hi = from->stack_hi;
  s.owner[index] = to;
  from->stack_lo = from->stack_hi = 0;
}

task* stack_owner(std::uintptr_t address, base::range* extent) noexcept {
  unsigned c = 0;
  std::int64_t index = locate(address, &c);
  if (index < 0) return nullptr;
  std::uintptr_t lo = views[c].where.lo + static_cast<std::size_t>(index) * stack_size_of(c);
  if (extent != nullptr) *extent = {lo, lo + stack_size_of(c)};
  return slabs[c].owner[index];
}

const stack_view* stack_views() noexcept { return views; }

void forget_stacks() noexcept {
  for (stack_class_slab& s : slabs) s.lock.free_in_child();
  for (stack_view& v : views) v.inherited.store(v.used.load());
}

bool in_guard(std::uintptr_t address, base::range* extent) noexcept {
  unsigned c = 0;
  std::int64_t index = locate(address, &c);
  if (index < 0) return false;
  std::uintptr_t lo = views[c].where.lo + static_cast<std::size_t>(index) * stack_size_of(c);
  if (extent != nullptr) *extent = {lo, lo + stack_size_of(c)};
  return address < lo + base::page_size;
}

namespace {
std::uint8_t class_by_default = 0;
}
std::uint8_t default_stack_class() noexcept { return class_by_default; }
void set_default_stack_class(unsigned stack_class) noexcept { class_by_default = static_cast<std::uint8_t>(stack_class); }

}  // namespace stray::runtime
