// Finds, once and before any stop, what glibc does not tell: where its arenas are and how a thread's control block is laid out.
//
// 1. Memory that another thread may unmap is read through /proc/self/mem, which answers an error instead of a fault.
// 2. An answer counts only if two probe threads agree; what is not found costs proofs, never soundness.
// Runs in the parent, on any thread, at start-up.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <new>
#include <pthread.h>
#include <unwind.h>

#include "base/arch.h"
#include "base/first_stack.h"
#include "base/modules.h"
#include "base/syscalls.h"
#include "trace/heap_source.h"
#include "trace/libc_text.h"
#include "trace/malloc_map.h"
#include "trace/memory_map.h"
#include "trace/thread_layout.h"

extern "C" {
[[gnu::weak]] void __asan_init();
[[gnu::weak]] void __tsan_init();
[[gnu::weak]] void __msan_init();
[[gnu::weak]] extern stray::trace::malloc_map stray_malloc_map;
}

namespace stray::trace {
namespace {

namespace sys = base::sys;

bool starved = false;  // a peeker had no descriptor

class peeker {
 public:
  peeker() noexcept : fd_(sys::open("/proc/thread-self/mem", O_RDONLY | O_CLOEXEC)) {
    starved = starved || fd_ == -EMFILE || fd_ == -ENFILE;
  }
  ~peeker() {
    if (fd_ >= 0) sys::close(fd_);
  }
  peeker(const peeker&) = delete;
  peeker& operator=(const peeker&) = delete;
  bool word(std::uintptr_t at, std::uintptr_t& out) const noexcept { return sys::pread(fd_, &out, 8, at) == 8; }
  bool bytes(std::uintptr_t at, void* to, std::size_t n) const noexcept {
    return sys::pread(fd_, to, n, at) == static_cast<long>(n);
  }

 private:
  int fd_;
};

// --- probe threads --------------------------------------------------------------------------------------------------------------------

struct probe {
  std::uintptr_t tcb = 0, frame = 0, stack_end = 0;
  std::uintptr_t base = 0;         // where libc's frames below the thread's function begin; 0: not all of them are libc's
  std::uintptr_t words[512] = {};  // of the TCB
  std::size_t count = 0;
  int tid = 0;
  std::uint32_t list_at = 0;
  std::uintptr_t ring = 0;  // head of the ring of live stacks
  // tcache
  std::int64_t tcache_at = 0;
  std::uint32_t counts = 0, entries = 0, bins = 0, chunk = 0, counted = 0;
};

struct tcache_shape {
  std::uint32_t chunk, count_size, bins, entries;
};
// 2.30 to 2.41; up to 2.29; from 2.42 on (counts run downwards: not checked).
constexpr tcache_shape tcache_shapes[] = {{0x290, 2, 64, 128}, {0x250, 1, 64, 64}, {0x310, 0, 76, 152}, {0x300, 0, 76, 152}};

void find_tcache(probe& p) noexcept {
  constexpr std::size_t bytes = 0x98;  // chunk 0xa0
  constexpr std::uint32_t bin = (0xa0 - 0x20) / 16;
  void* (*volatile take)(std::size_t) = std::malloc;
  void (*volatile give)(void*) = std::free;
  void* block = take(bytes);
  give(block);
  auto freed = reinterpret_cast<std::uintptr_t>(block);
  peeker peek;
  for (std::uintptr_t at = p.tcb - 8; at > p.frame; at -= 8) {
    std::uintptr_t cache = *reinterpret_cast<const std::uintptr_t*>(at), head = 0, first = 0;
    if (cache == 0 || (cache & 15) != 0 || cache >> 47 != 0 || !peek.word(cache - 8, head)) continue;
    for (const tcache_shape& s : tcache_shapes) {
      // With glibc.malloc.mmap_threshold below its size it has a mapping of its own.
      const bool fits =
          (head & 2) != 0 ? (head & ~std::uintptr_t{7}) == base::page_size : (head & ~std::uintptr_t{7}) == s.chunk;
      if (!fits || !peek.word(cache + s.entries + 8 * bin, first) || first != freed) continue;
      p.tcache_at = static_cast<std::int64_t>(at - p.tcb);
      p.chunk = s.chunk;
      p.counts = s.count_size;
      p.bins = s.bins;
      p.entries = s.entries;
      return;
    }
  }
}

// The head of the ring that a TCB is in: the one member that is no TCB. 0 when the words at list_at are no ring.
std::uintptr_t ring_head(const peeker& peek, std::uintptr_t tcb, std::uint32_t list_at) noexcept {
  std::uintptr_t at = tcb + list_at, head = 0;
  for (int n = 0; n < 1 << 20; n++) {
    std::uintptr_t next = 0, back = 0, self = 0;
    if (!peek.word(at, next) || (next & 7) != 0 || !peek.word(next + 8, back) || back != at) return 0;
    if (next == tcb + list_at) return head;
    if (!peek.word(next - list_at, self) || self != next - list_at) {
      if (head != 0) return 0;
      head = next;
    }
    at = next;
  }
  return 0;
}

void find_ring(probe& p) noexcept {
  peeker peek;
  for (std::size_t i = 3; i + 1 < p.count && p.ring == 0; i++) {
    std::uintptr_t next = p.words[i], self = p.tcb + 8 * i;
    if (next == self || next < base::page_size || (next & 7) != 0) continue;
    p.ring = ring_head(peek, p.tcb, static_cast<std::uint32_t>(8 * i));
    p.list_at = static_cast<std::uint32_t>(8 * i);
  }
}

// Of the frames that lead to the probe: the first is its own, the others must be libc's.
struct bottom {
  unsigned frames = 0;
  bool foreign = false;
  std::uintptr_t sp = 0;  // of the outermost, at its call
};
_Unwind_Reason_Code on_frame(_Unwind_Context* context, void* arg) {
  auto& b = *static_cast<bottom*>(arg);
  const auto pc = static_cast<std::uintptr_t>(_Unwind_GetIP(context));
  if (pc == 0) return _URC_END_OF_STACK;  // above the outermost
  b.foreign = b.foreign || (b.frames != 0 && !in_libc(pc));
  b.sp = static_cast<std::uintptr_t>(_Unwind_GetCFA(context));
  b.frames++;
  return b.frames < 16 ? _URC_NO_REASON : _URC_END_OF_STACK;
}

void* run_probe(void* arg) noexcept {
  probe& p = *static_cast<probe*>(arg);
  p.frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  asm("mov %%fs:0, %0" : "=r"(p.tcb));
  p.tid = sys::gettid();
  bottom b;
  _Unwind_Backtrace(on_frame, &b);
  if (!b.foreign && b.frames > 1 && b.frames < 16 && b.sp > p.frame && b.sp <= p.tcb) p.base = b.sp;
  pthread_attr_t attr;
  if (pthread_getattr_np(pthread_self(), &attr) == 0) {
    void* lo = nullptr;
    std::size_t size = 0;
    pthread_attr_getstack(&attr, &lo, &size);
    p.stack_end = reinterpret_cast<std::uintptr_t>(lo) + size;
    pthread_attr_destroy(&attr);
  }
  if (p.stack_end > p.tcb) {
    p.count = (p.stack_end - p.tcb) / 8;
    if (p.count > 512) p.count = 512;
    std::memcpy(p.words, reinterpret_cast<const void*>(p.tcb), p.count * 8);
    find_tcache(p);
    find_ring(p);
  }
  return nullptr;
}

// Two threads with stacks of different size, both alive only here.
bool run_probes(probe (&p)[2]) noexcept {
  for (std::size_t i = 0; i < 2; i++) {
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0) return false;
    pthread_attr_setstacksize(&attr, (256u + 64u * static_cast<unsigned>(i)) << 10);
    pthread_t thread;
    bool started = pthread_create(&thread, &attr, run_probe, &p[i]) == 0;
    pthread_attr_destroy(&attr);
    if (!started || pthread_join(thread, nullptr) != 0) return false;
  }
  return true;
}

// --- arenas ---------------------------------------------------------------------------------------------------------------------------

struct data_segment {
  base::range libc, program;
  char allocator[32] = {};
};

int on_module(dl_phdr_info* info, std::size_t, void* arg) noexcept {
  auto& found = *static_cast<data_segment*>(arg);
  base::range data;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const auto& h = info->dlpi_phdr[i];
    if (h.p_type != PT_LOAD || (h.p_flags & PF_W) == 0) continue;
    data = {info->dlpi_addr + h.p_vaddr, info->dlpi_addr + h.p_vaddr + h.p_memsz};
  }
  const char* path = info->dlpi_name == nullptr ? "" : info->dlpi_name;
  const char* name = std::strrchr(path, '/');
  name = name == nullptr ? path : name + 1;
  if (*name == 0 && found.program.lo == 0) found.program = data;
  if (found.libc.lo == 0 && (starts_with(name, "libc.so") || starts_with(name, "libc-2"))) found.libc = data;
  for (const char* known :
       {"jemalloc", "tcmalloc", "mimalloc", "snmalloc", "rpmalloc", "asan", "tsan", "lsan", "msan", "hoard"}) {
    if (starts_with(name, "lib") && starts_with(name + 3, known)) {
      std::snprintf(found.allocator, sizeof found.allocator, "%s", known);
    }
  }
  return 0;
}

// 2.27 to 2.42; from 2.43 (no fastbins); up to 2.26 (no have_fastchunks).
struct arena_shape {
  std::uint32_t fast, top, bins;
};
constexpr arena_shape arena_shapes[] = {{16, 96, 112}, {0, 8, 24}, {8, 88, 104}};

bool bins_fit(const peeker& peek, std::uintptr_t arena, const arena_shape& s) noexcept {
  std::uintptr_t words[254];
  std::memcpy(words, reinterpret_cast<const void*>(arena + s.bins), sizeof words);
  int fit = 0;
  for (std::uintptr_t i = 0; i < 127; i++) {
    std::uintptr_t head = arena + s.bins + 16 * i - 16, forward = words[2 * i], back = words[2 * i + 1], a = 0, b = 0;
    if (forward == head && back == head) {
      fit++;
    } else if (forward != 0 && back != 0 && peek.word(forward + 24, a) && a == head && peek.word(back + 16, b) && b == head) {
      fit++;
    }
    if (fit + 4 < static_cast<int>(i)) return false;
  }
  return fit >= 124;
}

bool ring_fits(const peeker& peek, std::uintptr_t arena, glibc_facts& g) noexcept {
  std::uintptr_t at = arena;
  for (int n = 0; n < 65536; n++) {
    if (!peek.word(at + g.next, at) || (at & 7) != 0) return false;
    if (at == arena) return true;
    std::uintptr_t header = at & (base::page_size - 1), owner = 0;
    if ((header != 0x20 && header != 0x30) || !peek.word(at - header, owner) || owner != at) return false;
    g.heap_info = static_cast<std::uint32_t>(header);
  }
  return false;
}

bool find_main_arena(base::range data, glibc_facts& g) noexcept {
  peeker peek;
  for (std::uintptr_t at = (data.lo + 7) & ~std::uintptr_t{7}; at + 2304 <= data.hi; at += 8) {
    for (const arena_shape& s : arena_shapes) {
      glibc_facts f = g;
      f.main_arena = at;
      f.fast = s.fast;
      f.top = s.top;
      f.bins = s.bins;
      f.next = s.bins + 2048;
      f.system_mem = f.next + 24;
      f.size = f.next + 40;
      std::uintptr_t next = *reinterpret_cast<const std::uintptr_t*>(at + f.next);
      std::uintptr_t page_offset = next & (base::page_size - 1);
      if (next != at && (next == 0 || (page_offset != 0x20 && page_offset != 0x30))) continue;
      if (!bins_fit(peek, at, s) || !ring_fits(peek, at, f)) continue;
      g = f;
      return true;
    }
  }
  return false;
}

// Does malloc hand out memory of these arenas at all, or was it replaced?
bool malloc_is_glibc(const glibc_facts& g, std::uintptr_t user) noexcept {
  peeker peek;
  std::uintptr_t head = 0;
  if (!peek.word(user - 8, head)) return false;
  if ((head & 4) == 0) {
    std::uintptr_t system = 0, top = 0;
    std::uintptr_t heap_end = static_cast<std::uintptr_t>(sys::call(SYS_brk, 0));
    return peek.word(g.main_arena + g.system_mem, system) && peek.word(g.main_arena + g.top, top) && system != 0 &&
           user < top && top <= heap_end && heap_end - user <= system + (std::size_t{1} << 30);
  }
  for (std::uintptr_t size :
       {std::uintptr_t{64} << 20, std::uintptr_t{8} << 20, std::uintptr_t{4} << 30, std::uintptr_t{1} << 20}) {
    std::uintptr_t arena = 0, at = g.main_arena;
    if (!peek.word(user & ~(size - 1), arena)) continue;
    for (int n = 0; n < 65536; n++) {
      if (at == arena) return true;
      if (!peek.word(at + g.next, at) || at == g.main_arena) break;
    }
  }
  return false;
}

void compare_probes(const probe (&p)[2], thread_layout& layout) noexcept {
  if (p[0].count == 0 || p[0].count != p[1].count) return;
  if (p[0].tcb - p[0].frame != p[1].tcb - p[1].frame || p[0].tcb < p[0].frame) return;
  bool tid_found = false, block_found = false;
  for (std::size_t i = 0; i + 1 < p[0].count; i++) {
    for (unsigned half = 0; half < 2 && !tid_found; half++) {
      auto at = [&](const probe& q) { return static_cast<int>(q.words[i] >> (32 * half)); };
      if (at(p[0]) != p[0].tid || at(p[1]) != p[1].tid) continue;
      layout.tid_at = static_cast<std::uint32_t>(8 * i + 4 * half);
      tid_found = true;
    }
    auto is_block = [&](const probe& q) {
      return (q.words[i] & (base::page_size - 1)) == 0 && q.words[i] != 0 && q.words[i] < q.frame &&
             q.words[i] + q.words[i + 1] == q.stack_end;
    };
    if (!block_found && is_block(p[0]) && is_block(p[1])) {
      layout.block_at = static_cast<std::uint32_t>(8 * i);
      block_found = true;
    }
  }
  layout.tcb_to_end = static_cast<std::uint32_t>(p[0].stack_end - p[0].tcb);
  layout.frames_below = static_cast<std::uint32_t>(p[0].tcb - p[0].frame - 16);  // above the saved rbp and the return address
  layout.tls_below = layout.frames_below;
  if (p[0].base != 0 && p[1].base != 0 && p[0].tcb - p[0].base == p[1].tcb - p[1].base)
    layout.tls_below = static_cast<std::uint32_t>(p[0].tcb - p[0].base);
  if (p[0].ring != 0 && p[0].ring == p[1].ring && p[0].list_at == p[1].list_at) {
    layout.list_at = p[0].list_at;
    layout.rings[0] = p[0].ring;
    // The probes' own stacks are in the cache now; unless another thread has just taken one of them.
    peeker peek;
    for (const probe& q : p) {
      std::uintptr_t head = ring_head(peek, q.tcb, layout.list_at);
      if (head != 0 && head != layout.rings[0]) layout.rings[1] = head;
    }
  }
  layout.known = tid_found && block_found && p[1].stack_end - p[1].tcb == layout.tcb_to_end;
}

// Linked into the program, or preloaded.
const malloc_map* find_map() noexcept {
  if (&stray_malloc_map != nullptr) return &stray_malloc_map;
  return static_cast<const malloc_map*>(dlsym(RTLD_DEFAULT, "stray_malloc_map"));
}

}  // namespace

void find_heap(heap_facts& facts) noexcept {
  facts = {};
  data_segment where;
  base::each_module(on_module, &where);
  std::memcpy(facts.allocator, where.allocator, sizeof facts.allocator);
  if (__asan_init != nullptr) std::strcpy(facts.allocator, "ASan");
  if (__tsan_init != nullptr) std::strcpy(facts.allocator, "TSan");
  if (__msan_init != nullptr) std::strcpy(facts.allocator, "MSan");
  void* (*volatile take)(std::size_t) = std::malloc;
  void (*volatile give)(void*) = std::free;
  if (const malloc_map* map = find_map(); map != nullptr) {
    void* (*volatile take_new)(std::size_t) = ::operator new;
    void (*volatile give_new)(void*) = ::operator delete;
    void *a = take(100), *b = take_new(100);
    const bool all = map->holds(a) && map->holds(b);
    give(a);
    give_new(b);
    if (all) {
      facts.map = map;
      facts.source = heap_mapped;
      return;
    }
  }
  if (facts.allocator[0] != 0) return;
  void* block = take(100);
  glibc_facts g;
  bool found = false;
  // The bins may be in motion under other threads' hands: look more than once.
  for (int tries = 0; tries < 20 && !found; tries++) {
    found = find_main_arena(where.libc.lo != 0 ? where.libc : where.program, g);
    if (!found) sys::call(SYS_sched_yield);
  }
  found = found && block != nullptr && malloc_is_glibc(g, reinterpret_cast<std::uintptr_t>(block));
  give(block);
  if (!found) return;
  static probe probes[2];
  probes[0] = probes[1] = {};
  if (run_probes(probes) && probes[0].tcache_at != 0 && probes[0].tcache_at == probes[1].tcache_at &&
      probes[0].chunk == probes[1].chunk) {
    g.tcache_at = probes[0].tcache_at;
    g.tcache_bins = probes[0].bins;
    g.tcache_count_size = probes[0].counts;
    g.tcache_entries = probes[0].entries;
    g.tcache_chunk = probes[0].chunk;
  }
  probes[0] = probes[1] = {};  // copies of pointers would be roots
  facts.glibc = g;
  facts.source = heap_glibc;
}

void find_thread_layout(thread_layout& layout) noexcept {
  layout = {};
  find_vector_layout(layout.vectors);
  layout.main_stack_end = base::first_stack_end();
  static probe p[2];
  p[0] = p[1] = {};
  if (run_probes(p)) compare_probes(p, layout);
  p[0] = p[1] = {};  // copies of pointers would be roots
}

bool discover(heap_facts& heap, thread_layout& layout) noexcept {
  starved = false;
  find_heap(heap);
  find_thread_layout(layout);
  return !starved;
}

}  // namespace stray::trace
