// The identity of a wait, for ever.
#pragma once

#include <compare>
#include <cstdint>

#pragma GCC visibility push(default)

namespace stray {

// task: number of the goroutine or thread, seq: the how many-th wait its record has seen. Neither is used again: ids only grow, and a record
// counts on when it is given to the next task (src/runtime/task.h). Made by name only: a bare pair of numbers is none.
struct wait_id {
  std::uint64_t task = 0;
  std::uint64_t seq = 0;

  constexpr wait_id() noexcept = default;
  constexpr explicit wait_id(std::uint64_t of_task, std::uint64_t number) noexcept : task(of_task), seq(number) {}
  friend auto operator<=>(const wait_id&, const wait_id&) = default;
};

}  // namespace stray

#pragma GCC visibility pop
