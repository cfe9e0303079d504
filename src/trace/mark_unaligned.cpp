// Words at the seven offsets that no other pass reads, and addresses in two halves (makecontext's arguments): see mark.h 10.
//
// 1. It runs last, over all that is live by then; what it marks is searched in the same way at once.
// 2. An address has bytes 6 and 7 zero, and byte 5 is one of a few (stacks and heaps lie together): of 16 offsets at a time one vector test
//    leaves hardly any. So the seven passes cost one reading of memory: 512 MB 70 ms.
// 3. Words across two spans that follow one another, and across any two registers of a thread, are put together first.
// 4. A high half is a word of its own below 65,536 whose byte 1 is such a byte 5; the low half is one of the three words on either side.
#include <emmintrin.h>

#include "trace/mark.h"

namespace stray::trace {

using strength = root_span::strength;

void marker::targets::add(std::uintptr_t lo, std::uintptr_t hi) noexcept {
  if (hi <= lo) return;
  for (std::uintptr_t top = lo >> 40; top <= (hi - 1) >> 40 && top < 128; top++) {
    bool known = false;
    for (unsigned i = 0; i < count; i++) known = known || byte[i] == top;
    if (known) continue;
    if (count == room || top == 0) {
      all = true;
      return;
    }
    byte[count++] = static_cast<unsigned char>(top);
  }
}

// Anything that is not live yet. True if something was met.
bool marker::meet(std::uintptr_t value, std::uintptr_t at) noexcept {
  step_ = at;
  if (value - interest_lo_ < interest_size_) {
    who_.hit(who_.self, *this, {value, value, at, 0, 0, false, origin::memory});
    return true;
  }
  bool met = value - parked_lo_ < parked_size_;
  if (met) enter_parked(mark, value, at);
  return touch_unmarked(value) || met;
}

void marker::met_at(std::uintptr_t value, std::uintptr_t at) noexcept {
  if (!meet(value, at) || !search_by_itself_) return;
  run_marks();
  if (after_unaligned_ != nullptr) after_unaligned_(after_arg_, at);
}

// The word at `bytes` may be a high half.
void marker::meet_halves(std::uintptr_t bytes, std::uintptr_t at, std::uintptr_t lo, std::uintptr_t hi) noexcept {
  const std::uint64_t high = load_any(bytes);
  if (high >= 0x8000 || high == 0) return;
  for (std::ptrdiff_t k = -3; k <= 3; k++) {
    const std::uintptr_t beside = bytes + static_cast<std::uintptr_t>(8 * k);
    if (k == 0 || beside < lo || beside + 8 > hi) continue;
    const std::uint64_t low = load_any(beside);
    if (low != 0 && low >> 32 == 0) met_at(high << 32 | low, at);
  }
}

// [bytes, bytes + n): what lay at `at`.
void marker::search(std::uintptr_t at, std::uintptr_t bytes, std::size_t n) noexcept {
  const std::uintptr_t lo = (bytes + 7) & ~std::uintptr_t{7}, hi = bytes + n, shift = at - bytes;
  auto context = [&](std::uintptr_t p) {
    const std::uint64_t word = load_any(p);
    if (contexts_.may_be_mangled(word)) contexts_.look_at_mangled(p + shift, p, lo, hi);
    if (contexts_.may_be_dead(word)) contexts_.look_at_plain(p + shift, p, lo, hi);
  };
  auto one = [&](std::uintptr_t p) {
    if ((p & 7) == 4) meet_halves(p + 4, p + 4 + shift, lo, hi);
    met_at(load_any(p), p + shift);
  };
  if (lo + 16 <= hi) meet_halves(lo, lo + shift, lo, hi);  // of the first word: below it lies nothing that could be tested
  std::uintptr_t p = lo;
  if (!wanted_.all && wanted_.count != 0) {
    const __m128i zero = _mm_setzero_si128();
    __m128i top[targets::room];
    for (unsigned i = 0; i < targets::room; i++)
      top[i] = _mm_set1_epi8(static_cast<char>(wanted_.byte[i < wanted_.count ? i : 0]));
    for (; p + 32 <= hi; p += 16) {
      const __m128i five = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 5));
      const __m128i six = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 6));
      const __m128i seven = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 7));
      __m128i fits = _mm_cmpeq_epi8(five, top[0]);
      for (unsigned i = 1; i < targets::room; i++) fits = _mm_or_si128(fits, _mm_cmpeq_epi8(five, top[i]));
      fits = _mm_and_si128(fits, _mm_cmpeq_epi8(_mm_or_si128(six, seven), zero));
      const auto fit = static_cast<unsigned>(_mm_movemask_epi8(fits));
      if ((fit & 0x0101) != 0 || contexts_.any_mangled(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))) {
        context(p);
        context(p + 8);
      }
      unsigned mask = fit & 0xfefe;  // offsets 0 and 8 are aligned
      for (; mask != 0; mask &= mask - 1) one(p + static_cast<unsigned>(__builtin_ctz(mask)));
    }
  }
  std::uint64_t now = p + 8 <= hi ? load_any(p) : 0;
  for (; p + 16 <= hi; p += 8) {
    context(p);
    const std::uint64_t next = load_any(p + 8);
    if ((now | next) != 0) {
      for (unsigned k = 1; k < 8; k++) {
        const std::uint64_t value = now >> (8 * k) | next << (64 - 8 * k);
        if (value >= base::page_size && value >> 47 == 0) one(p + k);
      }
    }
    now = next;
  }
}

// Spans whose addresses follow one another, and whose bytes may not: a word may begin in one and end in the next.
void marker::search_borders() noexcept {
  struct border {
    std::uintptr_t lo, hi, bytes;
  };
  list<border> all;
  for (const root_span& r : in_.roots) {
    if (r.lo != 0 && r.hi - r.lo >= 8 && r.how != strength::parked) all.push(*in_.memory, {r.lo, r.hi, r.bytes});
  }
  sort(all.begin(), all.size(), [](const border& a, const border& b) { return a.lo < b.lo; });
  constexpr std::size_t most = 32;  // bytes of each: halves lie apart
  for (std::size_t i = 0; i < all.size(); i++) {
    for (std::size_t k = i + 1; k < all.size() && all[k].lo <= all[i].hi; k++) {
      if (all[k].lo != all[i].hi) continue;
      alignas(8) unsigned char both[2 * most];
      std::size_t left = all[i].hi - all[i].lo, right = all[k].hi - all[k].lo, n = 0;
      left = left < most ? left & ~std::size_t{7} : most;
      right = right < most ? right & ~std::size_t{7} : most;
      const auto* from = reinterpret_cast<const unsigned char*>(all[i].bytes + (all[i].hi - all[i].lo) - left);
      for (std::size_t b = 0; b < left; b++) both[n++] = from[b];
      from = reinterpret_cast<const unsigned char*>(all[k].bytes);
      for (std::size_t b = 0; b < right; b++) both[n++] = from[b];
      search(all[i].hi - left, reinterpret_cast<std::uintptr_t>(both), n);
    }
  }
}

// What is copied in pieces by registers lies in some of them, in any order: each end with each beginning. xsave keeps the parts of a vector
// register apart, in pieces of 16 bytes.
void marker::search_registers() noexcept {
  struct piece {
    std::uint64_t first, last;
  };
  list<piece> all;
  int tid = 0;
  auto pairs = [&] {
    for (const piece& a : all) {
      for (const piece& b : all) {
        for (unsigned k = 1; k < 8 && (a.last | b.first) != 0; k++) {
          const std::uint64_t value = a.last >> (8 * k) | b.first << (64 - 8 * k);
          if (value >= base::page_size && value >> 47 == 0) met_at(value, 0);
        }
      }
    }
    all.clear();
  };
  for (const root_span& r : in_.roots) {
    if (r.how == strength::parked || (r.what != root::registers && r.what != root::vector_registers)) continue;
    if (r.tid != tid) pairs();
    tid = r.tid;
    const std::size_t step = r.what == root::registers ? 8 : 16;
    for (std::uintptr_t at = r.bytes; at + step <= r.bytes + (r.hi - r.lo); at += step)
      all.push(*in_.memory, {load_any(at), load_any(at + step - 8)});
  }
  pairs();
}

void marker::mark_unaligned(slice<const range> live, void (*after)(void*, std::uintptr_t), void* arg) noexcept {
  if (in_.is_off(root::unaligned)) return;
  wanted_ = {};
  contexts_.forget();
  for (const range& dead : contexts_.dead()) wanted_.add(dead.lo, dead.hi);
  wanted_.add(interest_lo_, interest_lo_ + interest_size_);
  for (const parked_stack& p : parked_) wanted_.add(p.lo, p.hi);
  blocks_.each_unmarked([&](std::uintptr_t user) { wanted_.add(user, block_table::end_of(user)); });
  after_unaligned_ = after;
  after_arg_ = arg;
  search_all_ = search_by_itself_ = true;
  for (range r : live) {
    for (range part; clip(r, part);) search(part.lo, part.lo, part.size());
  }
  for (const root_span& r : in_.roots) {
    const bool every_offset = r.lo == 0 && (r.what == root::pipes || r.what == root::sockets || r.what == root::files);
    if (!every_offset && r.how != strength::parked) search(r.lo, r.bytes, r.hi - r.lo);
  }
  search_borders();
  search_registers();
  for (const parked_stack& p : parked_) {
    if (p.pushed[mark]) search(p.lo, p.lo, p.hi - p.lo);
  }
  blocks_.each_marked([&](std::uintptr_t user) { search(user, user, block_table::end_of(user) - user); });
  search_all_ = search_by_itself_ = false;
}

}  // namespace stray::trace
