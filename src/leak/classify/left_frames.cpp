#include "leak/classify/left_frames.h"

namespace stray::leak {

using strength = trace::root_span::strength;

left_frames::left_frames(const wait_graph& g, trace::slice<const frozen_source> sources, trace::image& image,
                         trace::marker& m) noexcept
    : g_(g), sources_(sources), in_(image), m_(m), walker_(image) {
  if (!in_.is_off(trace::root::left_frames) && in_.looked == 0)
    walked_ = in_.memory->array<bool>(g_.nodes.size + in_.standings.size());
}

// Its saved registers lie in its own stack, and its stack counts from there on.
bool left_frames::has_own_frames(const node& n) const noexcept {
  return n.what != node::none && !n.is_thread && n.stack.size() != 0 && !n.on_cpu && !n.interrupted && n.elsewhere == 0 &&
         sources_[n.source].registers_of != nullptr;
}

void left_frames::begin() noexcept {
  if (in_.is_off(trace::root::saved_contexts) || in_.looked != 0) return;
  trace::list<base::range> dead;
  for (const node& n : g_.nodes) {
    if (has_own_frames(n)) dead.push(*in_.memory, {g_.slot_of(n.stack.lo).where.lo, n.stack.lo});
  }
  for (const trace::standing& s : in_.standings) dead.push(*in_.memory, s.below);
  trace::sort(dead.begin(), dead.size(), [](const base::range& a, const base::range& b) { return a.lo < b.lo; });
  m_.look_for_contexts({dead.begin(), dead.size()});
}

bool left_frames::leads_home(const node& n, base::range slot) noexcept {
  base::cfi::frame f;
  if (!sources_[n.source].registers_of(n, f)) return false;
  return walker_.leads_home(f, slot, {slot, in_.who->entry});
}

void left_frames::count(base::range below, after f, void* arg) noexcept {
  if (!opened_) in_.pages.open();
  opened_ = true;
  in_.pages.each_run(below, [&](base::range run) {  // guard pages may be no mappings of their own
    m_.mark_words(run, f, arg);
    found_.push(*in_.memory, run);
  });
}

bool left_frames::search(after f, void* arg) noexcept {
  if (walked_ == nullptr) return false;
  bool any = false;
  for (std::size_t i = 0; i < g_.nodes.size; i++) {
    prefetch_stack_ahead(g_.nodes, i, g_.nodes.size);
    const node& n = g_.nodes[i];
    if (walked_[i] || !n.entered || !has_own_frames(n)) continue;
    walked_[i] = true;
    const base::range slot = g_.slot_of(n.stack.lo).where;
    if (leads_home(n, slot)) continue;
    count({slot.lo, n.stack.lo}, f, arg);
    any = true;
  }
  bool* walked = walked_ + g_.nodes.size;
  for (const trace::standing& s : in_.standings) {
    bool& done = *walked++;
    if (done || (s.how == strength::parked && !m_.is_entered(s.tid))) continue;
    done = true;
    if (walker_.leads_home(s)) continue;
    count(s.below, f, arg);
    any = true;
  }
  return any;
}

base::range left_frames::dead_part_of_live_stack(std::uintptr_t address) const noexcept {
  const stack_slot slot = g_.slot_of(address);
  if (slot.node != no_node) {
    const node& n = g_.nodes[slot.node];
    if (n.entered && has_own_frames(n) && address < n.stack.lo) return {slot.where.lo, n.stack.lo};
  }
  for (const trace::standing& s : in_.standings) {
    if (s.below.holds(address) && (s.how != strength::parked || m_.is_entered(s.tid))) return s.below;
  }
  return {};
}

bool left_frames::follow_contexts(after f, void* arg) noexcept {
  bool any = false;
  for (const trace::saved_contexts::context& c : m_.contexts()) {
    m_.mark_address(c.sp, c.at, f, arg);
    m_.mark_address(c.rbp, c.at, f, arg);
    const base::range dead = dead_part_of_live_stack(c.sp);
    bool fresh = dead.size() != 0;
    for (const base::range& known : followed_) fresh = fresh && !known.holds(c.sp);
    if (!fresh || !followed_.push(*in_.memory, {c.sp, dead.hi})) continue;
    count({c.sp, dead.hi}, f, arg);
    any = true;
  }
  return any;
}

}  // namespace stray::leak
