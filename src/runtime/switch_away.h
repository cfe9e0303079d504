// Leaving a goroutine's stack for the next one. Inline, so that the frame that is left behind is the caller's: park is the leaf of every
// blocked stack.
#pragma once

#include "runtime/context.h"
#include "runtime/current.h"
#include "runtime/fiber.h"
#include "runtime/scheduler.h"

namespace stray::runtime {

// Switches from a goroutine to the next task or, without one, to the scheduler's context.
[[gnu::always_inline]] inline void switch_to(worker* w, task* self, handover left, task* next) {
  w->previous = self;
  w->left = left;
  std::uintptr_t to;
  if (next != nullptr) {
    to = enter(w, next);
  } else {
    set_current_task(nullptr);
    w->running = nullptr;
    to = w->scheduler_sp;
  }
  std::uintptr_t unused;
  void* fake_stack = fiber::leave(next, w, left == handover::dead);
  stray_switch_context(left == handover::dead ? &unused : &self->sp, to);
  // Back, perhaps on another worker.
  fiber::arrived(fake_stack);
  after_switch(current_worker());
}

[[gnu::always_inline]] inline void switch_away(worker* w, task* self, handover left) { switch_to(w, self, left, pick(w)); }

}  // namespace stray::runtime
