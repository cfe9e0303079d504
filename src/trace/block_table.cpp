#include "trace/block_table.h"

namespace stray::trace {

bool block_table::init(bump& memory) noexcept {
  memory_ = &memory;
  table_ = memory.array<segment*>(entries);
  return table_ != nullptr;
}

block_table::segment* block_table::make_segment(std::size_t index) noexcept {
  if (index >= entries) return nullptr;
  segment* s = table_[index];
  if (s != nullptr) return s;
  s = static_cast<segment*>(memory_->take(sizeof(segment), 64));
  if (s == nullptr) return nullptr;
  table_[index] = s;
  s->base = static_cast<std::uintptr_t>(index) << segment_shift;
  segment** link = latest_ != nullptr && latest_->base < s->base ? &latest_->next : &lowest_;  // mostly they come in order
  while (*link != nullptr && (*link)->base < s->base) link = &(*link)->next;
  s->next = *link;
  *link = s;
  latest_ = s;
  return s;
}

void block_table::add(std::uintptr_t user, std::size_t chunk_size, bool free) noexcept {
  std::size_t index = user >> segment_shift;
  segment* s = find_segment(user);
  if (s == nullptr) s = make_segment(index);
  if (s == nullptr) return;  // memory_->exhausted() is set
  std::size_t w = (user >> 10) & (words - 1);
  std::uint64_t mask = std::uint64_t{1} << ((user >> 4) & 63);
  if (s->at[w].start == 0) {
    s->summary[w / 64] |= std::uint64_t{1} << (w & 63);
    s->upper[w / 4096] |= std::uint64_t{1} << (w / 64 & 63);
  }
  s->at[w].start |= mask;
  if (free) {
    s->at[w].mark |= mask;
    s->more[w].free |= mask;
  } else if ((s->more[w].free & mask) != 0) {  // the end of another run was put here before
    s->at[w].mark &= ~mask;
    s->more[w].free &= ~mask;
  }
  // The chunk covers [user, user + chunk_size) up to the next start.
  for (std::size_t i = index + 1; i <= (user + chunk_size - 1) >> segment_shift; i++) {
    segment* above = make_segment(i);
    if (above == nullptr) return;
    above->carry = user;
  }
}

void block_table::add_block(std::uintptr_t user, std::size_t chunk_size) noexcept {
  blocks_++;
  add(user, chunk_size, false);
}
void block_table::add_free(std::uintptr_t user, std::size_t chunk_size) noexcept { add(user, chunk_size, true); }

void block_table::add_end(std::uintptr_t user) noexcept {
  segment* s = find_segment(user);
  if (s == nullptr) return;
  // A block that begins exactly here wins.
  if (!is_start(user)) add(user, 16, true);
}

bool block_table::set_free(std::uintptr_t user) noexcept {
  if ((user & 15) != 0 || user >> 47 != 0 || !in_use(user)) return false;
  segment* s = find_segment(user);
  std::size_t w = (user >> 10) & (words - 1);
  std::uint64_t mask = std::uint64_t{1} << ((user >> 4) & 63);
  s->at[w].mark |= mask;
  s->more[w].free |= mask;
  blocks_--;
  return true;
}

void block_table::erase(range r) noexcept {
  for (std::uintptr_t a = r.lo & ~std::uintptr_t{15}; a < r.hi; a += 16) {
    segment* s = find_segment(a);
    if (s == nullptr) {
      a |= (std::uintptr_t{1} << segment_shift) - 16;
      continue;
    }
    std::size_t w = (a >> 10) & (words - 1);
    if (s->at[w].start == 0) {
      a |= 1023 - 15;
      continue;
    }
    std::uint64_t mask = std::uint64_t{1} << ((a >> 4) & 63);
    if ((s->at[w].start & mask) == 0) continue;
    if ((s->more[w].free & mask) == 0) blocks_--;
    s->at[w].start &= ~mask;
    s->at[w].mark &= ~mask;
    s->more[w].free &= ~mask;
    if (s->at[w].start == 0) s->summary[w / 64] &= ~(std::uint64_t{1} << (w & 63));
    if (s->summary[w / 64] == 0) s->upper[w / 4096] &= ~(std::uint64_t{1} << (w / 64 & 63));
  }
  for (std::size_t i = (r.lo >> segment_shift) + 1; i <= r.hi >> segment_shift; i++) {
    if (table_[i] != nullptr && r.holds(table_[i]->carry)) table_[i]->carry = 0;
  }
}

block_table::place block_table::find_before(segment* s, std::uintptr_t address, std::size_t w) const noexcept {
  auto below = [](std::size_t bit) { return (std::uint64_t{1} << (bit & 63)) - 1; };
  auto last = [](std::uint64_t bits) { return static_cast<std::size_t>(63 - __builtin_clzll(bits)); };
  std::size_t u = w / 64;
  std::uint64_t some = s->summary[u] & below(w);
  if (some == 0) {
    std::size_t v = u / 64;
    std::uint64_t groups = s->upper[v] & below(u);
    while (groups == 0 && v != 0) groups = s->upper[--v];
    if (groups == 0) return s->carry == 0 ? place{nullptr, 0} : place{find_segment(s->carry), s->carry};
    u = v * 64 + last(groups);
    some = s->summary[u];
  }
  const std::size_t hit = u * 64 + last(some);
  return {s, (address >> segment_shift << segment_shift) + (hit << 10) + (last(s->at[hit].start) << 4)};
}

bool block_table::block_of(std::uintptr_t address, range& bytes) const noexcept {
  if (address >> 47 != 0) return false;
  place p = find(address);
  if (p.block == 0 || (p.in->more[p.word()].free & p.mask()) != 0) return false;
  bytes = {p.block, end_of(p.block)};
  return true;
}

}  // namespace stray::trace
