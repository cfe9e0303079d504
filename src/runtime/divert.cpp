#include "runtime/divert.h"

#include "runtime/context.h"
#include "runtime/current.h"
#include "runtime/fiber.h"
#include "runtime/scheduler.h"

namespace stray::runtime {

bool has_room_to_unwind(const task& t) noexcept { return t.sp > t.stack_lo + base::page_size + room_to_unwind; }

void divert(task* t, void (*f)(task*)) noexcept {
  auto* frame = reinterpret_cast<saved_frame*>(t->sp) - 1;
  *frame = {};
  frame->rbx = reinterpret_cast<std::uintptr_t>(t);
  frame->r12 = reinterpret_cast<std::uintptr_t>(f);
  frame->pc = reinterpret_cast<std::uintptr_t>(&stray_diverted);
  t->sp = reinterpret_cast<std::uintptr_t>(frame);
}

void call_above(const task& t, void (*f)(void*), void* arg) {
  stray_call_above(reinterpret_cast<const saved_frame*>(t.sp), f, arg);
}

// What switch_away does on arrival.
extern "C" void stray_diverted_main(task* t, void (*f)(task*)) {
  fiber::arrived(nullptr);
  after_switch(current_worker());
  f(t);
  __builtin_unreachable();
}

}  // namespace stray::runtime
