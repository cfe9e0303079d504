// Walks glibc's malloc in the frozen process: arenas, their heaps, free chunks in bins, tcache and fastbins, mmapped chunks.
//
// 1. An arena is walked only if its lock is in `held`; a busy one's pages stay unclaimed and so are roots this time, with a note.
// 2. A chain of chunks counts only as a whole: it must end at the arena's top or at a fencepost, with every free chunk's size repeated
//    behind it. A chain that does not is taken back (block_table::erase) and its arena noted.
//    In [heap] programs may have memory of their own (sbrk) between two chains. Its bytes may look like chunks: as chunks in use they are
//    blocks that nobody knows (ORPHAN), as free ones they would be hidden. So the free chunks of a chain that ends before top must be linked
//    in a bin, and what no block covers is not claimed.
// 3. malloc's own state is claimed and never a root: `top` and the bins point at chunk headers inside the block before (1 of 24 single
//    leaks was found with it as a root).
// 4. A cached free whose links or count do not fit is taken as in use: its thread was stopped in the middle of put or get.
//    A thread that is only looked at may run: what is taken for free then makes less live, as everything in such an image (image.h 3).
// 5. An mmapped chunk is recognised by its header at a page's start; ordinary memory that looks just like one becomes a block instead of
//    a root, which the ORPHAN rule covers.
// 6. mmapped chunks have no lock. A thread stopped in realloc between mremap and the new size leaves a header that is too long; another
//    chunk mapped there meanwhile belongs to that block of the table as far as the header reaches, and what lies beyond is unclaimed, so a
//    root: a pointer to either keeps and scans both. (1 of 1,000 snapshots of threads that do nothing else.)
// Layouts tried: glibc 2.31, 2.36, 2.41. Pure; runs in the snapshot.
#include "trace/heap_source.h"

#include "base/arch.h"
#include "base/syscalls.h"
#include "trace/image.h"

namespace stray::trace {
namespace {

constexpr std::uintptr_t prev_in_use = 1, is_mmapped = 2, non_main = 4, flag_bits = 7;
constexpr std::size_t min_chunk = 32;
// A chunk's size tells where the next one is, so the processor cannot look ahead by itself, and never over the end of a page.
constexpr std::size_t walked_ahead = 1024;

std::uintptr_t load(std::uintptr_t at) noexcept { return *reinterpret_cast<const std::uintptr_t*>(at); }
using base::page_up;

class glibc_walk {
 public:
  glibc_walk(image& in, const heap_facts& facts, slice<const std::uintptr_t> held) noexcept
      : in_(in), g_(facts.glibc), caller_fs_(facts.caller_fs), held_(held) {}

  void run() noexcept {
    claim({g_.main_arena, g_.main_arena + g_.size});
    if (!in_.map.readable(g_.main_arena, g_.size)) return;
    std::uintptr_t arena = g_.main_arena;
    for (std::size_t n = 0; n < 65536; n++) {
      one_arena(arena);
      arena = load(arena + g_.next);
      if (arena == g_.main_arena) break;
      if (!in_.map.readable(arena, g_.size)) {
        in_.notes->add() << "malloc: the ring of arenas is broken; the rest of it is treated as roots";
        break;
      }
    }
    mmapped_chunks();
    for (std::size_t i = 0; i < walked_.size(); i++) fastbins(walked_[i]);
    for (const stopped_thread& t : in_.threads) {
      if (t.stopped || t.looked) tcache(t.fs_base);
    }
    tcache(caller_fs_);
  }

 private:
  void claim(range r) noexcept { in_.claimed.push(*in_.memory, r); }
  bool is_held(std::uintptr_t arena) const noexcept {
    for (std::uintptr_t h : held_) {
      if (h == arena) return true;
    }
    return false;
  }

  void one_arena(std::uintptr_t arena) noexcept {
    bool main = arena == g_.main_arena;
    bool busy = !is_held(arena);
    bool good = !busy && (main ? main_arena() : other_arena(arena));
    if (good) {
      walked_.push(*in_.memory, arena);
      return;
    }
    if (!main) claim({arena & ~(base::page_size - 1), arena + g_.size});
    text line = in_.notes->add();
    line << "malloc arena ";
    line.hex(arena);
    line << (busy ? " was busy: its pages are treated as roots" : " could not be walked: its pages are treated as roots");
  }

  // Adds the chunks from `at` on. True and the end if they lead to `top` or to a fencepost below `limit`.
  bool chain(std::uintptr_t at, std::uintptr_t limit, std::uintptr_t top, std::uintptr_t arena_bit,
             std::uintptr_t& end) noexcept {
    const std::uintptr_t first = at;
    block_table& blocks = in_.blocks;
    if (at + 16 > limit) return false;
    std::uintptr_t head = load(at + 8);
    if (at != top && (head & prev_in_use) == 0) return false;
    while (at != top) {
      std::size_t size = head & ~flag_bits;
      if (size == 0x10 || size == 0) {  // a fencepost closes a heap that grew elsewhere
        if (at == first || (arena_bit == 0 && !closes_main(first, at, limit))) break;
        end = at;
        blocks.add_end(at + 16);
        return true;
      }
      __builtin_prefetch(reinterpret_cast<const void*>(at + walked_ahead));
      std::uintptr_t next = at + size;
      bool sound = size >= min_chunk && (size & 15) == 0 && (head & is_mmapped) == 0 && next > at && next + 16 <= limit;
      if (!sound) break;
      std::uintptr_t next_head = load(next + 8);
      bool used = (next_head & prev_in_use) != 0;
      if (used ? (head & non_main) != arena_bit : load(next) != size) break;
      if (used && arena_bit != 0 && size == min_chunk && (next_head & ~flag_bits) == 0) used = false;  // of an old top
      if (used) {
        blocks.add_block(at + 16, size);
      } else {
        blocks.add_free(at + 16, size);
      }
      steps_++;
      at = next;
      head = next_head;
    }
    if (at == top && top != 0) {
      end = at;
      blocks.add_end(at + 16);
      return true;
    }
    if (at != first) blocks.erase({first, at + 32});
    return false;
  }

  // Is it a fencepost of the main arena, behind a chain all of whose free chunks are in bins?
  bool closes_main(std::uintptr_t first, std::uintptr_t at, std::uintptr_t limit) const noexcept {
    constexpr std::uintptr_t fence = 0x10;  // the first of the two tells whether what was left of the old top is free
    if (at + 32 > limit || (load(at + 8) & ~prev_in_use) != fence || load(at + 24) != (fence | prev_in_use)) return false;
    while (first != at) {
      std::uintptr_t next = first + (load(first + 8) & ~flag_bits);
      if ((load(next + 8) & prev_in_use) == 0 && !is_linked(first)) return false;
      first = next;
    }
    return true;
  }
  bool is_linked(std::uintptr_t chunk) const noexcept {
    std::uintptr_t forward = load(chunk + 16), back = load(chunk + 24);
    return ((forward | back) & 15) == 0 && in_.map.readable(forward, 32) && in_.map.readable(back, 32) &&
           load(forward + 24) == chunk && load(back + 16) == chunk;
  }

  // The main arena lives in [heap], with holes where others called sbrk; where brk failed, in a mapping of its own.
  bool main_arena() noexcept {
    std::uintptr_t top = load(g_.main_arena + g_.top);
    if (top == 0) return true;  // never used
    std::uintptr_t lo = 0, hi = 0;
    for (const mapping& m : in_.map.all()) {
      if (m.kind != mapping::heap) continue;
      if (!m.readable) {
        base::sys::call(SYS_mprotect, static_cast<long>(m.lo), static_cast<long>(m.hi - m.lo), 3 /* read, write */);
      }
      if (lo == 0) lo = m.lo;
      if (hi != 0 && m.lo != hi) return false;
      hi = m.hi;
    }
    std::size_t first_claim = in_.claimed.size();
    bool found = false;
    constexpr std::size_t step_limit = std::size_t{1} << 26;  // of failed tries, so that a hole of garbage ends
    std::size_t wasted = 0;
    for (std::uintptr_t at = lo; lo != 0 && at + 32 <= hi;) {
      std::uintptr_t end = 0;
      std::size_t before = steps_;
      if (!chain(at, hi, top, 0, end)) {
        wasted += 1 + steps_ - before;
        if (wasted > step_limit) break;
        at += 16;
        continue;
      }
      if (end == top) {
        std::uintptr_t top_end = top + (load(top + 8) & ~flag_bits);
        claim({at, top_end > hi ? hi : page_up(top_end)});
        found = true;
        break;
      }
      claim({at + 8, end + 16});
      at = end + 32;
    }
    if (!found) found = mapped_main(top);
    if (!found) {
      for (std::size_t i = first_claim; i < in_.claimed.size(); i++) {
        in_.blocks.erase(in_.claimed[i]);
        in_.claimed[i].hi = in_.claimed[i].lo;
      }
    }
    return found;
  }

  // brk failed at some time: the arena goes on in an anonymous mapping that begins with a chunk.
  bool mapped_main(std::uintptr_t top) noexcept {
    const mapping* m = in_.map.find(top);
    if (m == nullptr || m->file || m->shared || !m->readable || m->kind != mapping::plain) return false;
    for (std::uintptr_t at = m->lo; at < top; at += base::page_size) {
      std::uintptr_t end = 0;
      if (load(at) != 0 || (load(at + 8) & flag_bits) != prev_in_use) continue;
      if (!chain(at, m->hi, top, 0, end) || end != top) continue;
      std::uintptr_t top_end = page_up(top + (load(top + 8) & ~flag_bits));
      claim({at, top_end > m->hi ? m->hi : top_end});
      return true;
    }
    return false;
  }

  bool other_arena(std::uintptr_t arena) noexcept {
    std::uintptr_t top = load(arena + g_.top);
    std::uintptr_t reach = 0;  // heaps are aligned to their largest size: 64 MiB, or 4 huge pages with glibc.malloc.hugetlb=2
    for (std::uintptr_t size :
         {std::uintptr_t{64} << 20, std::uintptr_t{8} << 20, std::uintptr_t{4} << 30, std::uintptr_t{1} << 20}) {
      std::uintptr_t heap = top & ~(size - 1);
      if (in_.map.readable(heap, 48) && load(heap) == arena) {
        reach = size;
        break;
      }
    }
    if (reach == 0) return false;
    std::size_t total = 0, first_claim = in_.claimed.size();
    bool good = true;
    std::uintptr_t heap = top & ~(reach - 1);
    for (std::size_t n = 0; heap != 0 && good; n++) {
      good = n < 65536 && in_.map.readable(heap, 48) && load(heap) == arena;
      if (!good) break;
      std::size_t size = load(heap + 16);
      std::uintptr_t first = heap + g_.heap_info;
      if (arena == first) first = ((arena + g_.size + 15) & ~std::uintptr_t{15});
      std::uintptr_t end = 0;
      good = size <= reach && in_.map.readable(heap, size) && chain(first, heap + size, n == 0 ? top : 0, non_main, end) &&
             (n != 0 || end == top);
      total += size;
      if (good) claim({heap, heap + reach});
      heap = load(heap + 8);
    }
    if (good && total == load(arena + g_.system_mem)) return true;
    for (std::size_t i = first_claim; i < in_.claimed.size(); i++) {
      in_.blocks.erase(in_.claimed[i]);
      in_.claimed[i].hi = in_.claimed[i].lo;
    }
    return false;
  }

  // Chunks too big for an arena have a mapping of their own (the kernel may merge it with neighbours).
  void mmapped_chunks() noexcept {
    list<range> taken;
    for (const range& r : in_.claimed) taken.push(*in_.memory, r);
    for (const range& r : in_.ours) taken.push(*in_.memory, r);
    taken.push(*in_.memory, in_.who->interest);  // holds none, and a guard page costs a system call a goroutine
    sort(taken.begin(), taken.size(), [](const range& a, const range& b) { return a.lo < b.lo; });
    std::size_t next_taken = 0;
    for (const mapping& m : in_.map.all()) {
      if (m.file || m.shared || !m.readable || !m.writable || m.kind != mapping::plain) continue;
      std::uintptr_t at = m.lo;
      while (at < m.hi) {
        while (next_taken < taken.size() && taken[next_taken].hi <= at) next_taken++;
        std::uintptr_t stop = m.hi;
        if (next_taken < taken.size() && taken[next_taken].lo < stop) {
          stop = taken[next_taken].lo;
          if (stop <= at) {  // it may hold further mappings
            at = page_up(taken[next_taken].hi);
            continue;
          }
        }
        mmapped_in(at, stop, m.hi);
        at = stop;
      }
    }
  }

  void mmapped_in(std::uintptr_t lo, std::uintptr_t hi, std::uintptr_t mapping_end) noexcept {
    std::uintptr_t from = page_up(lo);
    range run;
    while (in_.pages.next(from, hi, false, run)) {
      for (std::uintptr_t at = run.lo; at < run.hi;) {
        std::uintptr_t end = mmapped_at(at, mapping_end < hi ? mapping_end : hi);
        if (end == 0) {
          at += base::page_size;
        } else {
          at = end;
          if (end > from) from = end;
        }
      }
    }
  }

  // The end of the mmapped chunk that begins at page `base`, or 0.
  std::uintptr_t mmapped_at(std::uintptr_t base, std::uintptr_t limit) noexcept {
    if (load(base) != 0) return 0;
    std::uintptr_t head = load(base + 8);
    std::size_t size = head & ~flag_bits;
    if ((head & flag_bits) != is_mmapped || size < base::page_size || (size & (base::page_size - 1)) != 0) return 0;
    if (base + size < base) return 0;
    std::uintptr_t chunk = base, end = base + size;
    aligned_in(base, limit, chunk, end);
    if (end > limit) return 0;
    in_.blocks.add_block(chunk + 16, end - chunk);
    in_.blocks.add_end(end);
    claim({base, end});
    return end;
  }

  // memalign leaves the first header, which realloc no longer updates, and writes a second one further in: at A - 16 for alignments up to
  // a page, else at the end of some page behind untouched ones (mremap may have moved all of it since: the address is not aligned any more).
  void aligned_in(std::uintptr_t base, std::uintptr_t limit, std::uintptr_t& chunk, std::uintptr_t& end) noexcept {
    auto is_header = [&](std::uintptr_t at) {
      if (at + 16 > limit || load(at) != at - base || (load(at + 8) & flag_bits) != is_mmapped) return false;
      std::uintptr_t e = at + (load(at + 8) & ~flag_bits);
      if ((e & (base::page_size - 1)) != 0 || e <= at || e > limit) return false;
      chunk = at;
      end = e;
      return true;
    };
    for (std::uintptr_t at : {48, 112, 240, 496, 1008, 2032}) {
      if (is_header(base + at)) return;
    }
    constexpr std::uintptr_t furthest = std::uintptr_t{64} << 20;
    std::uintptr_t from = base + 16, page = base;
    while (page - base < furthest && page < limit) {
      std::uintptr_t header = page + base::page_size - 16;
      if (is_header(header)) return;
      for (; from < page + base::page_size; from += 8) {
        if (load(from) != 0) return;  // the user's bytes, or malloc's: no aligned chunk begins behind them
      }
      range run;
      std::uintptr_t next = page + base::page_size;
      if (!in_.pages.next(next, limit, false, run)) return;
      page = from = run.lo;
    }
  }

  // The next entry of a list of free chunks, or 0 at its end; false when the link makes no sense. Links are mangled since 2.32.
  bool follow(std::uintptr_t user, std::uintptr_t bias, std::uintptr_t& next) const noexcept {
    std::uintptr_t plain = load(user), open = plain ^ (user >> 12);
    if (open == 0 || (((open + bias) & 15) == 0 && (open + bias) >> 47 == 0 && in_.blocks.in_use(open + bias))) {
      next = open == 0 ? 0 : open + bias;
      return true;
    }
    if (plain == 0 || (((plain + bias) & 15) == 0 && (plain + bias) >> 47 == 0 && in_.blocks.in_use(plain + bias))) {
      next = plain == 0 ? 0 : plain + bias;
      return true;
    }
    return false;
  }

  void fastbins(std::uintptr_t arena) noexcept {
    if (g_.fast == 0) return;
    for (std::uint32_t i = 0; i < 10; i++) {
      std::uintptr_t user = load(arena + g_.fast + 8 * i);
      if (user != 0) user += 16;
      while (user != 0) {
        std::uintptr_t next = 0;
        if (user >> 47 != 0 || !in_.blocks.in_use(user)) break;
        bool known = follow(user, 16, next);
        in_.blocks.set_free(user);
        if (!known) break;
        user = next;
      }
    }
  }

  void tcache(std::uintptr_t fs) noexcept {
    if (g_.tcache_at == 0 || fs == 0 || !in_.map.readable(fs + static_cast<std::uintptr_t>(g_.tcache_at), 8)) return;
    std::uintptr_t cache = load(fs + static_cast<std::uintptr_t>(g_.tcache_at));
    if (cache >> 47 != 0 || (cache & 15) != 0 || !in_.blocks.in_use(cache)) return;
    const std::uintptr_t head_of_it = load(cache - 8);  // of a chunk with a mapping of its own: whole pages
    if ((head_of_it & is_mmapped) != 0 ? (head_of_it & ~flag_bits) < g_.tcache_chunk
                                       : (head_of_it & ~flag_bits) != g_.tcache_chunk)
      return;
    for (std::uint32_t i = 0; i < g_.tcache_bins; i++) {
      std::uintptr_t head = load(cache + g_.tcache_entries + 8 * i);
      std::size_t length = 0;
      bool known = true;
      for (std::uintptr_t user = head; user != 0 && known && length <= 65536; length++) {
        known = (user & 15) == 0 && user >> 47 == 0 && in_.blocks.in_use(user) && follow(user, 0, user);
      }
      if (!known || length > 65536) continue;
      if (g_.tcache_count_size == 2 && *reinterpret_cast<const std::uint16_t*>(cache + 2 * i) != length) continue;
      if (g_.tcache_count_size == 1 && *reinterpret_cast<const std::uint8_t*>(cache + i) != length) continue;
      while (head != 0) {
        std::uintptr_t next = 0;
        follow(head, 0, next);
        if (!in_.blocks.set_free(head)) break;
        head = next;
      }
    }
  }

  image& in_;
  const glibc_facts& g_;
  std::uintptr_t caller_fs_;
  slice<const std::uintptr_t> held_;
  list<std::uintptr_t> walked_;
  std::size_t steps_ = 0;
};

}  // namespace

void walk_glibc(image& in, const heap_facts& facts, slice<const std::uintptr_t> held) noexcept {
  in.heap_known = true;
  if (facts.glibc.tcache_at == 0)
    in.notes->add() << "malloc: its caches of threads were not found: what was freed into them counts as in use";
  glibc_walk{in, facts, held}.run();
}

}  // namespace stray::trace
