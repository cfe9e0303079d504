// What lies below a stack pointer and is not dead: frames that a fiber has left, and frames to which a saved context returns.
//
// 1. Below a stack pointer all is dead if its frames lead to the outermost one of the stack (trace/frames.h), except from where a saved context
//    would return to (trace/saved_contexts.h). All of the other parts counts.
// 2. Only of stacks that are live; asked again when more are. Each part counts once.
// 3. Nothing of the kind if registers are not known (image.h 3).
// Pure; runs in the snapshot.
#pragma once

#include "leak/model/frozen_source.h"
#include "trace/frames.h"
#include "trace/image.h"
#include "trace/mark.h"

namespace stray::leak {

class left_frames {
 public:
  using after = void (*)(void* arg, std::uintptr_t at);

  left_frames(const wait_graph& g, trace::slice<const frozen_source> sources, trace::image& image, trace::marker& m) noexcept;

  // Before mark_unaligned, which finds the contexts.
  void begin() noexcept;
  // Live stacks whose frames do not lead home; each word that leads to what was not live is followed, then after(arg, at).
  // True if there was one that was not known before.
  bool search(after f, void* arg) noexcept;
  // The same of the contexts that the last search at all offsets has found.
  bool follow_contexts(after f, void* arg) noexcept;
  // All that counts by now.
  const trace::list<base::range>& found() const noexcept { return found_; }

 private:
  bool has_own_frames(const node& n) const noexcept;
  bool leads_home(const node& n, base::range slot) noexcept;
  void count(base::range below, after f, void* arg) noexcept;
  base::range dead_part_of_live_stack(std::uintptr_t address) const noexcept;

  const wait_graph& g_;
  const trace::slice<const frozen_source> sources_;
  trace::image& in_;
  trace::marker& m_;
  trace::frame_walker walker_;
  bool opened_ = false;
  bool* walked_ = nullptr;  // by node, then by standing; null: switched off
  trace::list<base::range> found_;
  trace::list<base::range> followed_;  // of contexts; part of it may have no pages
};

}  // namespace stray::leak
