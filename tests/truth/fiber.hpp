// Fibers of the program's own, as generators and coroutine libraries have them: a switch of ten instructions, and swapcontext.
//
// While a fiber runs nothing but sp leads to its stack; while it is suspended its saved sp lies in its control word.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/stack_switch.hpp"

namespace truth {

enum class memory { heap, mapping, pool };  // pool: carved from one mapping, with neighbours on both sides

void* take_stack(memory m);
void give_stack(memory m, void* lo) noexcept;
inline constexpr std::size_t fiber_stack_size = 64 << 10;

// What stack_switch may be given: calls body(arg) on that stack, which must never return.
void* fiber_begin(void* stack_lo, void (*body)(void*), void* arg);

// Runs body(arg) on a new stack until it returns; the caller may be a goroutine, and body may block. swap: by swapcontext.
void on_fiber(memory m, bool swap, void (*body)(void*), void* arg);

template <class F>
void on_fiber(memory m, bool swap, F& f) {
  on_fiber(
      m, swap, [](void* arg) { (*static_cast<F*>(arg))(); }, &f);
}

}  // namespace truth
