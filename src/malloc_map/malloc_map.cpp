// malloc and its relatives, of a program that links stray_malloc_map or preloads the shared library: each block is written into a map
// (trace/malloc_map.h), so that the detector knows the blocks of an allocator whose layout it does not (jemalloc, tcmalloc, mimalloc).
//
// 1. Everything goes on to the next definition of malloc in the order of the dynamic linker. An allocator's own functions (mallocx,
//    mi_malloc) pass by: their blocks are roots. Such a block may be given to free or realloc here; one of ours never to theirs.
// 2. Given back memory is empty: what it held would otherwise keep alive whoever it pointed to, until somebody writes there again.
// 3. Each byte of the map is written by whoever owns the block; segments and the table come in by compare-and-swap, and stay.
// 4. While the next malloc is looked for, the dynamic linker may itself ask: those few blocks lie in a buffer, and never go back.
// 5. Safe where malloc is: not in signal handlers. After fork the child has its own copy of the map.
// Price: docs/allocators.md.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <new>
#include <sys/mman.h>
#include <unistd.h>

#include "trace/malloc_map.h"

using stray::trace::block_header;
using stray::trace::malloc_map;

#define STRAY_EXPORT [[gnu::visibility("default")]]

extern "C" {
STRAY_EXPORT constinit malloc_map stray_malloc_map;
}

namespace {

constexpr std::size_t usual_alignment = 16, page = 4096;
constexpr std::size_t written_over = std::size_t{256} << 10;  // a larger block's pages go back to the kernel instead

struct next_malloc {
  void* (*malloc)(std::size_t);
  void* (*calloc)(std::size_t, std::size_t);
  void* (*realloc)(void*, std::size_t);
  void (*free)(void*);
  std::size_t (*malloc_usable_size)(void*);
};
constinit next_malloc next{};
constinit std::atomic<int> next_state{0};  // 0: unknown, 1: somebody looks, 2: known

alignas(usual_alignment) constinit unsigned char early[64 << 10];
constinit std::atomic<std::size_t> early_used{0};

bool is_early(const void* p) noexcept { return p >= early && p < early + sizeof early; }

[[noreturn]] void fail(const char* why) noexcept {
  static constexpr char begin[] = "stray: malloc map: ";
  if (write(2, begin, sizeof begin - 1) < 0 || write(2, why, std::strlen(why)) < 0 || write(2, "\n", 1) < 0) std::abort();
  std::abort();
}

void* take_early(std::size_t bytes, std::size_t alignment) noexcept {
  std::size_t need = bytes + alignment;
  std::size_t at =
      need > sizeof early ? sizeof early : early_used.fetch_add((need + usual_alignment - 1) & ~(usual_alignment - 1));
  if (at + need > sizeof early) fail("the buffer for blocks asked for before malloc is found is full");
  auto address = (reinterpret_cast<std::uintptr_t>(early) + at + alignment - 1) & ~(alignment - 1);
  return reinterpret_cast<void*>(address);
}

template <class F>
void look_up(F& f, const char* name) noexcept {
  f = reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
  if (f == nullptr) fail("no malloc follows this one");
}

// False while it is being looked for.
bool next_known() noexcept {
  if (next_state.load(std::memory_order_acquire) == 2) [[likely]]
    return true;
  int expected = 0;
  if (!next_state.compare_exchange_strong(expected, 1)) return expected == 2;
  look_up(next.malloc, "malloc");
  look_up(next.calloc, "calloc");
  look_up(next.realloc, "realloc");
  look_up(next.free, "free");
  look_up(next.malloc_usable_size, "malloc_usable_size");
  next_state.store(2, std::memory_order_release);
  return true;
}

template <class T>
T* take_pages(std::atomic<T*>& place, std::size_t items) noexcept {
  const std::size_t bytes = items * sizeof(T);
  void* made = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (made == MAP_FAILED) return nullptr;
  madvise(made, bytes, MADV_NOHUGEPAGE);  // sparse: a byte in a megabyte must not cost two
  T* expected = nullptr;
  if (place.compare_exchange_strong(expected, static_cast<T*>(made), std::memory_order_acq_rel)) return static_cast<T*>(made);
  munmap(made, bytes);
  return expected;
}

malloc_map::segment* segment_for(const void* p) noexcept {
  if (malloc_map::segment* s = stray_malloc_map.find(p); s != nullptr) [[likely]]
    return s;
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  if (address >> 47 != 0) return nullptr;
  std::atomic<malloc_map::segment*>* table = stray_malloc_map.table.load(std::memory_order_acquire);
  if (table == nullptr) table = take_pages(stray_malloc_map.table, malloc_map::segments);
  return table == nullptr ? nullptr : take_pages(table[address >> malloc_map::segment_shift], malloc_map::granules);
}

block_header& header_of(void* user) noexcept { return *(static_cast<block_header*>(user) - 1); }

// The block in `room`; into the map, unless there is no memory for that: then its memory is a root.
void* enter(void* room, std::size_t bytes, std::size_t alignment) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(room);
  const std::uintptr_t user = (at + block_header::before + alignment - 1) & ~(alignment - 1);
  void* p = reinterpret_cast<void*>(user);
  malloc_map::segment* s = segment_for(p);
  if (s == nullptr) {  // free must find the room: without the map it cannot
    next.free(room);
    return nullptr;
  }
  header_of(p) = block_header::of(user, static_cast<std::uint32_t>(user - at), bytes);
  s[malloc_map::index(p)].store(1, std::memory_order_release);
  return p;
}

std::size_t bytes_for(std::size_t n) noexcept { return n == 0 ? 8 : block_header::rounded(n); }

void* allocate(std::size_t n, std::size_t alignment, bool zero) noexcept {
  if (n > block_header::most || alignment > UINT32_MAX / 2) {
    errno = ENOMEM;
    return nullptr;
  }
  if (!next_known()) return take_early(n, alignment);
  const std::size_t bytes = bytes_for(n);
  const std::size_t slack = alignment > usual_alignment ? alignment : 0;
  const std::size_t need = block_header::before + block_header::filled(bytes) + slack;
  void* room = zero ? next.calloc(1, need) : next.malloc(need);
  void* p = room == nullptr ? nullptr : enter(room, bytes, alignment);
  if (p == nullptr) errno = ENOMEM;
  return p;
}

void clear(void* user, std::size_t bytes) noexcept {
  if (bytes <= written_over) {
    std::memset(user, 0, bytes);
    return;
  }
  const auto lo = reinterpret_cast<std::uintptr_t>(user), hi = lo + bytes;
  const std::uintptr_t first = (lo + page - 1) & ~(page - 1), last = hi & ~(page - 1);
  std::memset(user, 0, first - lo);
  std::memset(reinterpret_cast<void*>(last), 0, hi - last);
  madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

void give_back(void* p) noexcept {
  if (p == nullptr || is_early(p)) return;
  if (!stray_malloc_map.holds(p)) {
    if (!next_known()) return;
    next.free(p);
    return;
  }
  const int error = errno;
  const block_header h = header_of(p);
  if (!h.fits(reinterpret_cast<std::uintptr_t>(p)))
    fail("free of a block whose header was overwritten: something wrote before its begin");
  stray_malloc_map.find(p)[malloc_map::index(p)].store(0, std::memory_order_release);
  clear(p, h.bytes());
  next.free(static_cast<unsigned char*>(p) - h.offset);
  errno = error;
}

void* reallocate(void* p, std::size_t n) noexcept {
  if (p == nullptr) return allocate(n, usual_alignment, false);
  std::size_t old = 0;
  if (is_early(p)) {
    old = static_cast<std::size_t>(early + sizeof early - static_cast<unsigned char*>(p));
  } else if (!stray_malloc_map.holds(p)) {
    return next_known() ? next.realloc(p, n) : nullptr;
  } else {
    if (n == 0) {
      give_back(p);
      return nullptr;
    }
    old = header_of(p).bytes();
    if (const std::size_t bytes = block_header::rounded(n); bytes == old) return p;
  }
  void* made = allocate(n, usual_alignment, false);
  if (made == nullptr) return nullptr;
  std::memcpy(made, p, old < n ? old : n);
  give_back(p);
  return made;
}

bool product_of(std::size_t a, std::size_t b, std::size_t& product) noexcept {
  if (!__builtin_mul_overflow(a, b, &product)) return true;
  errno = ENOMEM;
  return false;
}

bool is_power_of_two(std::size_t n) noexcept { return n != 0 && (n & (n - 1)) == 0; }

void* aligned(std::size_t alignment, std::size_t n) noexcept {
  if (!is_power_of_two(alignment)) {
    errno = EINVAL;
    return nullptr;
  }
  return allocate(n, alignment < usual_alignment ? usual_alignment : alignment, false);
}

void* for_new(std::size_t n, std::size_t alignment) {
  for (;;) {
    if (void* p = aligned(alignment, n); p != nullptr) return p;
    std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}
void* for_new_nothrow(std::size_t n, std::size_t alignment) noexcept {
  try {
    return for_new(n, alignment);
  } catch (...) {
    return nullptr;
  }
}

}  // namespace

extern "C" {

STRAY_EXPORT void* malloc(std::size_t n) noexcept { return allocate(n, usual_alignment, false); }
STRAY_EXPORT void* calloc(std::size_t count, std::size_t size) noexcept {
  std::size_t n = 0;
  return product_of(count, size, n) ? allocate(n, usual_alignment, true) : nullptr;
}
STRAY_EXPORT void* realloc(void* p, std::size_t n) noexcept { return reallocate(p, n); }
STRAY_EXPORT void* reallocarray(void* p, std::size_t count, std::size_t size) noexcept {
  std::size_t n = 0;
  return product_of(count, size, n) ? reallocate(p, n) : nullptr;
}
STRAY_EXPORT void free(void* p) noexcept { give_back(p); }
STRAY_EXPORT void cfree(void* p) noexcept { give_back(p); }
STRAY_EXPORT void* memalign(std::size_t alignment, std::size_t n) noexcept { return aligned(alignment, n); }
STRAY_EXPORT void* aligned_alloc(std::size_t alignment, std::size_t n) noexcept { return aligned(alignment, n); }
STRAY_EXPORT int posix_memalign(void** result, std::size_t alignment, std::size_t n) noexcept {
  if (alignment % sizeof(void*) != 0 || !is_power_of_two(alignment)) return EINVAL;
  const int error = errno;
  void* p = aligned(alignment, n);
  errno = error;
  if (p == nullptr) return ENOMEM;
  *result = p;
  return 0;
}
STRAY_EXPORT void* valloc(std::size_t n) noexcept { return aligned(page, n); }
STRAY_EXPORT void* pvalloc(std::size_t n) noexcept {
  return aligned(page, n > block_header::most ? n : (n + page - 1) & ~(page - 1));
}
STRAY_EXPORT std::size_t malloc_usable_size(void* p) noexcept {
  if (p == nullptr || is_early(p)) return 0;
  if (stray_malloc_map.holds(p)) return header_of(p).bytes();
  return next_known() ? next.malloc_usable_size(p) : 0;
}

}  // extern "C"

STRAY_EXPORT void* operator new(std::size_t n) { return for_new(n, usual_alignment); }
STRAY_EXPORT void* operator new[](std::size_t n) { return for_new(n, usual_alignment); }
STRAY_EXPORT void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return for_new_nothrow(n, usual_alignment); }
STRAY_EXPORT void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return for_new_nothrow(n, usual_alignment); }
STRAY_EXPORT void* operator new(std::size_t n, std::align_val_t a) { return for_new(n, static_cast<std::size_t>(a)); }
STRAY_EXPORT void* operator new[](std::size_t n, std::align_val_t a) { return for_new(n, static_cast<std::size_t>(a)); }
STRAY_EXPORT void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return for_new_nothrow(n, static_cast<std::size_t>(a));
}
STRAY_EXPORT void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return for_new_nothrow(n, static_cast<std::size_t>(a));
}
STRAY_EXPORT void operator delete(void* p) noexcept { give_back(p); }
STRAY_EXPORT void operator delete[](void* p) noexcept { give_back(p); }
STRAY_EXPORT void operator delete(void* p, const std::nothrow_t&) noexcept { give_back(p); }
STRAY_EXPORT void operator delete[](void* p, const std::nothrow_t&) noexcept { give_back(p); }
STRAY_EXPORT void operator delete(void* p, std::size_t) noexcept { give_back(p); }
STRAY_EXPORT void operator delete[](void* p, std::size_t) noexcept { give_back(p); }
STRAY_EXPORT void operator delete(void* p, std::align_val_t) noexcept { give_back(p); }
STRAY_EXPORT void operator delete[](void* p, std::align_val_t) noexcept { give_back(p); }
STRAY_EXPORT void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { give_back(p); }
STRAY_EXPORT void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept { give_back(p); }
STRAY_EXPORT void operator delete(void* p, std::size_t, std::align_val_t) noexcept { give_back(p); }
STRAY_EXPORT void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { give_back(p); }
