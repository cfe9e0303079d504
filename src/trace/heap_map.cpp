// Lists the blocks of an interposed malloc (malloc_map.h) in the frozen process. Needs no lock, and no layout of anybody's.
//
// 1. A block counts if its header fits. One that does not was overwritten, or is made or given back at this moment by a thread that runs:
//    no block, and its memory a root.
// 2. Only blocks are claimed. What lies between them is a root: blocks made by an allocator's own functions, mappings of the program's, and
//    an allocator's records. Those make a miss, never a wrong verdict.
// 3. The 16 bytes that belong to nobody, and what follows a block, hit free starts: allocators' words keep no block.
// Pure; runs in the snapshot.
#include "base/arch.h"
#include "base/syscalls.h"
#include "trace/heap_source.h"
#include "trace/image.h"
#include "trace/malloc_map.h"

namespace stray::trace {
namespace {

class map_walk {
 public:
  explicit map_walk(image& in) noexcept : in_(in) {}

  void run(const malloc_map& map) noexcept {
    const auto table = reinterpret_cast<std::uintptr_t>(map.table.load(std::memory_order_relaxed));
    const range entries{table, table + malloc_map::segments * sizeof(std::uintptr_t)};
    in_.claimed.push(*in_.memory, entries);
    each_page_run(entries, [&](range run) {
      for (std::uintptr_t at = run.lo; at < run.hi; at += sizeof(std::uintptr_t)) {
        std::uintptr_t bytes = *reinterpret_cast<const std::uintptr_t*>(at);
        if (bytes != 0)
          segments_.push(*in_.memory, {(at - table) / sizeof(std::uintptr_t) << malloc_map::segment_shift, bytes});
      }
    });
    for (const segment& s : segments_) {
      const range bytes{s.bytes, s.bytes + malloc_map::granules};
      in_.claimed.push(*in_.memory, bytes);
      each_page_run(bytes, [&](range run) {
        for (std::uintptr_t at = run.lo; at < run.hi; at += 8) {
          for (std::uint64_t some = *reinterpret_cast<const std::uint64_t*>(at); some != 0; some &= some - 1) {
            block(s.base + (at - s.bytes + static_cast<std::size_t>(__builtin_ctzll(some)) / 8) * malloc_map::granule);
          }
        }
      });
    }
    close();
    if (damaged_ == 0) return;
    text line = in_.notes->add();
    line.dec(damaged_) << " heap blocks have a header that was overwritten: they are treated as roots";
  }

 private:
  struct segment {
    std::uintptr_t base, bytes;
  };

  // Asked anew for each stretch, since `f` may ask for pages of its own.
  template <class F>
  void each_page_run(range r, F f) noexcept {
    range run;
    for (std::uintptr_t from = r.lo; in_.pages.next(from, r.hi, false, run); from = run.hi) f(run);
  }

  // Private memory that the child can read as it was; it may change the protection of its own copy.
  bool readable(range r) noexcept {
    while (r.lo < r.hi) {
      if (!known_.holds(r.lo)) {
        const mapping* m = in_.map.find(r.lo);
        if (m == nullptr || m->kind == mapping::special || m->shared) return false;
        if (!m->readable &&
            base::sys::call(SYS_mprotect, static_cast<long>(m->lo), static_cast<long>(m->hi - m->lo), 1 /* PROT_READ */) != 0)
          return false;
        known_ = {m->lo, m->hi};
      }
      r.lo = known_.hi;
    }
    return true;
  }

  void block(std::uintptr_t user) noexcept {
    const std::uintptr_t lo = user - block_header::before;
    if (!readable({lo, user})) return;
    const auto& h = *reinterpret_cast<const block_header*>(user - sizeof(block_header));
    const std::uintptr_t hi = user + block_header::filled(h.bytes());
    if (!h.fits(user) || hi < user || !readable({user, hi})) {
      damaged_++;
      return;
    }
    // A multiple of 16 in size may have its begin where the last one's end was put.
    in_.blocks.add_block(user, h.bytes() + 8);
    if (lo < open_.hi || open_.hi == 0 || lo - open_.hi >= base::page_size) {
      close();
      open_ = {lo, hi};
    } else {
      if (lo != open_.hi) between({open_.hi, lo});
      open_.hi = hi;
    }
    in_.blocks.add_end(lo);
    in_.blocks.add_end(hi);
  }

  // Within a page of a block on either side: nobody needs to be asked whether it is there.
  void between(range r) noexcept {
    if (in_.is_off(root::heap_pages) || !readable(r)) return;
    in_.roots.push(*in_.memory, {r.lo, r.hi, r.lo, root::heap_pages, root_span::strength::strong, origin::memory, 0});
  }

  void close() noexcept {
    if (open_.hi != 0) in_.claimed.push(*in_.memory, open_);
    open_ = {};
  }

  image& in_;
  list<segment> segments_;
  range open_{};   // blocks close to each other, claimed as one
  range known_{};  // the mapping asked for last
  std::uint64_t damaged_ = 0;
};

}  // namespace

void walk_map(image& in, const heap_facts& facts, slice<const std::uintptr_t>) noexcept {
  in.heap_known = true;
  map_walk{in}.run(*facts.map);
}

}  // namespace stray::trace
