#include "trace/mark.h"

namespace stray::trace {

using strength = root_span::strength;

marker::marker(image& in, trail* steps) noexcept
    : in_(in),
      who_(*in.who),
      blocks_(in.blocks),
      interest_lo_(in.who->interest.lo),
      interest_size_(in.who->interest.size()),
      trail_(steps) {
  for (std::uintptr_t*& s : stack_) s = in.memory->array<std::uintptr_t>(blocks_.blocks() + 64);
  std::uintptr_t hi = 0;
  for (const root_span& r : in.roots) {
    if (r.how != strength::parked || r.lo == 0) continue;
    parked_stack p{r.lo, r.hi, 0, r.tid, {}};
    if (p.lo < in.main_stack_end && in.main_stack_end < p.hi) p.hi = in.main_stack_end;
    for (const stopped_thread& t : in.threads) {
      if (t.tid != r.tid || !(t.stopped || t.looked)) continue;
      p.tcb = t.fs_base;
      if (t.looked && p.tcb == 0) p.hi = p.lo;  // its own TCB may lead into it: never entered, which makes less live
    }
    parked_.push(*in.memory, p);
    if (parked_lo_ == 0 || p.lo < parked_lo_) parked_lo_ = p.lo;
    if (p.hi > hi) hi = p.hi;
  }
  parked_size_ = hi - parked_lo_;
}

// The next readable part of `rest`, which shrinks to what is behind it.
bool marker::clip(range& rest, range& out) const noexcept {
  rest.lo = (rest.lo + 7) & ~std::uintptr_t{7};
  while (rest.lo + 8 <= rest.hi) {
    const mapping* m = in_.map.after(rest.lo);
    if (m == nullptr || m->lo >= rest.hi) return false;
    out.lo = m->lo > rest.lo ? m->lo : rest.lo;
    out.hi = m->hi < rest.hi ? m->hi : rest.hi;
    rest.lo = out.hi;
    if (m->readable && m->kind != mapping::special) return true;
  }
  return false;
}

// --- blocks ---------------------------------------------------------------------------------------------------------------------------

// Colours a start; true if it was an in-use block without the colour.
template <marker::colour c>
inline bool marker::touch(block_table::segment* in, std::size_t w, std::uint64_t mask, std::uintptr_t start) noexcept {
  block_table::pair& p = in->at[w];
  if ((p.mark & mask) != 0) return false;  // free starts are marked from the beginning
  if constexpr (c == mark) {
    p.mark |= mask;
  } else {
    if ((in->more[w].reach & mask) != 0) return false;
    in->more[w].reach |= mask;
  }
  if (stack_[c] == nullptr) return false;
  stack_[c][top_[c]++] = start;
  if (c == mark && trail_ != nullptr) trail_->set(start, step_);
  return true;
}

template <marker::colour c>
bool marker::touch_start(std::uintptr_t start) noexcept {
  block_table::place p{blocks_.find_segment(start), start};
  return p.in != nullptr && touch<c>(p.in, p.word(), p.mask(), start);
}

template <marker::colour c>
inline bool marker::touch_address(std::uintptr_t address) noexcept {
  block_table::segment* in = blocks_.find_segment(address);
  if (in == nullptr) return false;
  const std::size_t w = (address >> 10) & (block_table::words - 1);
  const unsigned b = (address >> 4) & 63;
  const std::uint64_t starts = in->at[w].start;
  const std::uint64_t below = starts & (~std::uint64_t{0} >> (63 - b));
  bool fresh = false;
  if (below != 0) {
    auto bit_at = static_cast<unsigned>(63 - __builtin_clzll(below));
    fresh = touch<c>(in, w, std::uint64_t{1} << bit_at, (address & ~std::uintptr_t{1023}) + (std::uintptr_t{bit_at} << 4));
  } else {
    block_table::place p = blocks_.find(address);
    fresh = p.block != 0 && touch<c>(p.in, p.word(), p.mask(), p.block);
  }
  // In the header of the next one: that one as well.
  const std::uintptr_t behind = (address & ~std::uintptr_t{15}) + 16;
  if (b != 63) {
    if ((starts >> (b + 1) & 1) != 0) fresh |= touch<c>(in, w, std::uint64_t{1} << (b + 1), behind);
  } else if (behind <= base::address_mask && blocks_.is_start(behind)) {
    fresh |= touch_start<c>(behind);
  }
  return fresh;
}

// As scan, one word after the other.
void marker::scan_with_trail(const span& s) noexcept {
  std::uintptr_t bytes = s.bytes;
  for (std::uintptr_t at = s.lo; at + 8 <= s.hi; at += 8, bytes += 8) {
    word w = make_word({s.lo, s.hi}, at, bytes, s.from);
    step_ = step_at(s.lo, at, s.tid);
    if (w.value - interest_lo_ < interest_size_) {
      who_.hit(who_.self, *this, w);
    } else {
      if (w.value - parked_lo_ < parked_size_) enter_parked(mark, w.value, at);
      touch_address<mark>(w.value);
    }
  }
}

// --- the two queues -------------------------------------------------------------------------------------------------------------------

template <marker::colour c>
inline void marker::scan(const span& s, queue& waiting) noexcept {
  if (c == mark && trail_ != nullptr) return scan_with_trail(s);
  const std::uintptr_t interest_lo = interest_lo_;
  const std::size_t interest_size = interest_size_;
  const std::uintptr_t parked_lo = parked_lo_, parked_size = parked_size_;
  std::uintptr_t bytes = s.bytes;
  for (std::uintptr_t at = s.lo; at + 8 <= s.hi; at += 8, bytes += 8) {
    std::uintptr_t value = *reinterpret_cast<const std::uintptr_t*>(bytes) & base::address_mask;
    if (value - interest_lo < interest_size) {
      word w = make_word({s.lo, s.hi}, at, bytes, s.from);
      if constexpr (c == mark) {
        who_.hit(who_.self, *this, w);
      } else {
        if (who_.reached != nullptr) who_.reached(who_.self, *this, w);
      }
      continue;
    }
    if (value - parked_lo < parked_size) enter_parked(c, value, at);
    block_table::segment* in = blocks_.find_segment(value);
    if (in == nullptr) continue;
    if ((value ^ s.lo) >> near_shift == 0) {  // its line was used for this block
      touch_address<c>(value);
      continue;
    }
    __builtin_prefetch(&in->at[(value >> 10) & (block_table::words - 1)], 1);
    if (waiting.count == candidates) {
      touch_address<c>(waiting.address[waiting.at]);
      waiting.address[waiting.at] = value;
      waiting.at = (waiting.at + 1) % candidates;
    } else {
      waiting.address[(waiting.at + waiting.count++) % candidates] = value;
    }
  }
}

template <marker::colour c>
void marker::run(const span* first) noexcept {
  queue waiting;
  std::uintptr_t open[opened];
  unsigned open_at = 0, open_count = 0;
  if (first != nullptr) scan<c>(*first, waiting);
  for (;;) {
    while (open_count < opened && top_[c] != 0) {
      std::uintptr_t block = stack_[c][--top_[c]];
      __builtin_prefetch(reinterpret_cast<const void*>(block - 8));
      __builtin_prefetch(reinterpret_cast<const void*>(block + 56));
      open[(open_at + open_count) % opened] = block;
      open_count++;
    }
    if (open_count != 0) {
      std::uintptr_t block = open[open_at];
      open_at = (open_at + 1) % opened;
      open_count--;
      std::uintptr_t end = block_table::end_of(block);
      counts_[c].blocks++;
      counts_[c].bytes += end - block;
      if (c == mark && who_.covered != nullptr) who_.covered(who_.self, *this, {block, end});
      scan<c>({block, end, block, origin::memory, 0}, waiting);
      if (c == mark && search_all_) search(block, block, end - block);
    } else if (span s; spans_[c].pop(s)) {
      constexpr std::size_t ahead = 8;
      if (spans_[c].size() >= ahead) {
        const span& soon = spans_[c][spans_[c].size() - ahead];
        base::prefetch(soon.bytes, soon.bytes + (soon.hi - soon.lo));
      }
      if (c == mark && who_.covered != nullptr && s.lo != 0) who_.covered(who_.self, *this, {s.lo, s.hi});
      scan<c>(s, waiting);
      if (c == mark && search_all_) search(s.lo, s.bytes, s.hi - s.lo);
    } else if (waiting.count != 0) {
      std::uintptr_t address = waiting.address[waiting.at];
      waiting.at = (waiting.at + 1) % candidates;
      waiting.count--;
      touch_address<c>(address);
    } else {
      return;
    }
  }
}

// For mark_unaligned.cpp. Within run() what is met joins its queues.
bool marker::touch_unmarked(std::uintptr_t address) noexcept {
  return blocks_.find_segment(address) != nullptr && touch_address<mark>(address);
}
void marker::run_marks() noexcept {
  search_by_itself_ = false;
  run<mark>();
  search_by_itself_ = true;
}

void marker::drain() noexcept {
  do {
    run<mark>();
    run<second>();
  } while (top_[mark] != 0 || spans_[mark].size() != 0);
}

// --- passes ---------------------------------------------------------------------------------------------------------------------------

void marker::locate_words(const span& s) noexcept {
  const std::uintptr_t interest_lo = interest_lo_;
  const std::size_t interest_size = interest_size_;
  std::uintptr_t bytes = s.bytes;
  for (std::uintptr_t at = s.lo; at + 8 <= s.hi; at += 8, bytes += 8) {
    std::uintptr_t value = *reinterpret_cast<const std::uintptr_t*>(bytes) & base::address_mask;
    if (value - interest_lo < interest_size) who_.locate(who_.self, make_word({s.lo, s.hi}, at, bytes, s.from));
  }
}

void marker::locate_span(range r, origin from) noexcept {
  for (range part; clip(r, part);) locate_words({part.lo, part.hi, part.lo, from, 0});
}

void marker::locate() noexcept {
  for (const root_span& r : in_.roots) {
    if (!r.again) locate_words({r.lo, r.hi, r.bytes, r.from, r.tid});
  }
  blocks_.each_in_use([&](std::uintptr_t user) { locate_words({user, block_table::end_of(user), user, origin::memory, 0}); });
}

void marker::mark_roots() noexcept {
  for (const root_span& r : in_.roots) {
    span s{r.lo, r.hi, r.bytes, r.from, r.tid};
    if (r.how == strength::strong) {
      if (who_.covered != nullptr && s.lo != 0) who_.covered(who_.self, *this, {s.lo, s.hi});
      run<mark>(&s);
    } else if (r.how == strength::ambiguous) {
      // Frames are live memory, and the handles in them check themselves.
      if (who_.covered != nullptr && s.lo != 0) who_.covered(who_.self, *this, {s.lo, s.hi});
      std::uintptr_t bytes = s.bytes;
      for (std::uintptr_t at = s.lo; at + 8 <= s.hi; at += 8, bytes += 8) {
        std::uintptr_t value = *reinterpret_cast<const std::uintptr_t*>(bytes) & base::address_mask;
        step_ = step_at(s.lo, at, s.tid);
        if (value - interest_lo_ < interest_size_) who_.hit(who_.self, *this, make_word({s.lo, s.hi}, at, bytes, s.from));
        if (value - parked_lo_ < parked_size_) enter_parked(mark, value, at);
      }
      run<mark>();
    }
  }
}

void marker::mark_ambiguous(void (*after)(void*, const word&), void* arg) noexcept {
  for (const root_span& r : in_.roots) {
    if (r.how != strength::ambiguous) continue;
    std::uintptr_t bytes = r.bytes;
    for (std::uintptr_t at = r.lo; at + 8 <= r.hi; at += 8, bytes += 8) {
      word w = make_word({r.lo, r.hi}, at, bytes, r.from);
      step_ = step_at(r.lo, at, r.tid);
      if (w.value - interest_lo_ < interest_size_ || !touch_address<mark>(w.value)) continue;
      run<mark>();
      if (after != nullptr) after(arg, w);
    }
  }
}

void marker::mark_orphans(void (*after)(void*, range), void* arg) noexcept {
  if (in_.is_off(root::orphans)) return;
  blocks_.each_untouched([&](std::uintptr_t user) {
    step_ = trail_mark::orphan;
    if (blocks_.reached(user) || !touch_start<mark>(user)) return;
    run<mark>();
    if (after != nullptr) after(arg, {user, block_table::end_of(user)});
  });
}

void marker::mark_words(range words, void (*after)(void*, std::uintptr_t), void* arg) noexcept {
  for (range r; clip(words, r);) {
    if (who_.covered != nullptr) who_.covered(who_.self, *this, r);
    run<mark>();
    after(arg, r.lo);
    for (std::uintptr_t at = r.lo; at + 8 <= r.hi; at += 8) {
      const word w = make_word(r, at, at, origin::memory);
      step_ = at;
      const bool of_client = w.value - interest_lo_ < interest_size_, of_parked = w.value - parked_lo_ < parked_size_;
      if (of_client) who_.hit(who_.self, *this, w);
      if (of_parked) enter_parked(mark, w.value, at);
      if (!touch_unmarked(w.value) && !of_client && !of_parked) continue;
      run<mark>();
      after(arg, at);
    }
  }
}

void marker::mark_address(std::uintptr_t address, std::uintptr_t at, void (*after)(void*, std::uintptr_t), void* arg) noexcept {
  if (!meet(address, at)) return;
  run<mark>();
  after(arg, at);
}

bool marker::is_entered(int tid) const noexcept {
  for (const parked_stack& p : parked_) {
    if (p.tid == tid && p.pushed[mark]) return true;
  }
  return false;
}

// --- pushes ---------------------------------------------------------------------------------------------------------------------------

void marker::add_span(colour c, range r, origin from) noexcept {
  for (range part; clip(r, part);) spans_[c].push(*in_.memory, {part.lo, part.hi, part.lo, from, 0});
}
void marker::push(range r, origin from) noexcept { add_span(mark, r, from); }
void marker::reach_push(range r) noexcept { add_span(second, r, origin::memory); }

bool marker::mark_block(std::uintptr_t address) noexcept {
  range bytes;
  if (!blocks_.block_of(address, bytes)) return false;
  touch_start<mark>(bytes.lo);
  return true;
}
// A block, all of it; a mapping or somebody's stack from sp up, unless it is a root anyhow.
void marker::push_memory_of(std::uintptr_t sp) noexcept {
  if (mark_block(sp)) return;
  const mapping* m = in_.map.find(sp);
  if (m == nullptr) return;
  std::uintptr_t hi = m->hi;
  for (const root_span& r : in_.roots) {
    if (r.lo == 0 || sp < r.lo || sp >= r.hi) continue;
    if (r.how == strength::strong) return;
    hi = r.hi;
  }
  if (!m->shared) push({sp, hi}, origin::memory);  // what is shared was copied in the pause: a root
}
bool marker::reach_block(std::uintptr_t address) noexcept {
  range bytes;
  if (!blocks_.block_of(address, bytes)) return false;
  touch_start<second>(bytes.lo);
  return true;
}

// Once a thread and colour; registers and frames together.
void marker::push_parked(colour c, int tid, std::uint64_t by) noexcept {
  bool first = false, any = false;
  for (parked_stack& p : parked_) {
    if (p.tid != tid) continue;
    any = true;
    first = first || !p.pushed[c];
    p.pushed[c] = true;
  }
  if (any && !first) return;
  if (c == mark && trail_ != nullptr) trail_->enter(tid, by);
  for (const root_span& r : in_.roots) {
    if (r.how == strength::parked && r.tid == tid) spans_[c].push(*in_.memory, {r.lo, r.hi, r.bytes, r.from, r.tid});
  }
}
void marker::enter_parked(colour c, std::uintptr_t address, std::uintptr_t at) noexcept {
  for (const parked_stack& p : parked_) {
    if (address - p.lo >= p.hi - p.lo) continue;
    if (p.tcb == 0 || at - p.tcb >= in_.tcb_bytes) push_parked(c, p.tid, step_);
    return;
  }
}
void marker::push_thread(int tid) noexcept { push_parked(mark, tid, trail_mark::by_client); }
void marker::reach_thread(int tid) noexcept { push_parked(second, tid, trail_mark::by_client); }

}  // namespace stray::trace
