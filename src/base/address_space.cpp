#include "base/address_space.h"

#include <cerrno>
#include <cstring>
#include <sys/mman.h>

#include "base/check.h"
#if defined(STRAY_ASAN)
#include <sanitizer/lsan_interface.h>
#endif

namespace stray::base {

namespace {

constexpr std::size_t full_size = std::size_t{1} << 40;  // 1 TiB of addresses: 4 M stacks of 64 KiB take a quarter of it

struct space {
  spin_lock lock;
  range all;
  std::uintptr_t next = 0;
  unsigned shrink = 0;
};
constinit space the_space;

void reserve_locked() noexcept {
  space& s = the_space;
  if (s.all.lo != 0) return;
  for (unsigned shrink = 0; shrink <= 10; shrink += 2) {
    std::size_t bytes = full_size >> shrink;
    void* at = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) continue;
    madvise(at, bytes, MADV_DONTDUMP);  // a debugger's core would hold all of it, as zeros
    auto lo = reinterpret_cast<std::uintptr_t>(at);
    s.shrink = shrink;
    s.next = lo;
    s.all = {lo, lo + bytes};
#if defined(STRAY_ASAN)
    __lsan_register_root_region(at, bytes);  // goroutines' stacks, pending timers; what is readable of it is looked at
#endif
    return;
  }
  int error = errno;
  say("stray: cannot reserve 1 GiB of address space (%s); raise the limit (ulimit -v unlimited)", std::strerror(error));
  fatal("no address space");
}

}  // namespace

range reservation() noexcept { return the_space.all; }

range reservation_record() noexcept {
  auto at = reinterpret_cast<std::uintptr_t>(&the_space);
  return {at, at + sizeof the_space};
}

unsigned reservation_shrink() noexcept {
  the_space.lock.lock();
  reserve_locked();
  the_space.lock.unlock();
  return the_space.shrink;
}

void free_address_space_lock() noexcept { the_space.lock.free_in_child(); }

range carve(std::size_t bytes) noexcept {
  space& s = the_space;
  s.lock.lock();
  reserve_locked();
  range r{s.next, s.next + bytes};
  if (r.hi > s.all.hi) fatal("reserved address space exhausted");
  s.next = r.hi;
  s.lock.unlock();
  return r;
}

bool commit(std::uintptr_t at, std::size_t bytes) noexcept {
  auto* p = reinterpret_cast<void*>(at);
  if (mprotect(p, bytes, PROT_READ | PROT_WRITE) == 0) {
    madvise(p, bytes, MADV_DODUMP);
    return true;
  }
  if (errno != ENOMEM) return false;
  // At vm.max_map_count a mapping can still grow, into a neighbour that differs by its protection only.
  madvise(p, the_space.all.hi - at, MADV_DODUMP);
  return mprotect(p, bytes, PROT_READ | PROT_WRITE) == 0;
}

}  // namespace stray::base
