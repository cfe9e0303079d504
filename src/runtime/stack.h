// Goroutine stacks: slabs of equal spacing, one slab a size class (64 KiB << class), bound lazily at the first run.
//
// 1. The lowest page of a stack is its guard: MADV_GUARD_INSTALL where the kernel has it (6.13; no extra mapping), else mprotect. That
//    splits mappings: once guards are three quarters of vm.max_map_count (24,500 stacks by default) further stacks have none, which is said
//    once. Those that are left are the process's: without them it could start no thread.
// 2. A stack is bound to at most one task; owner_of answers for any address in a stack, also in the snapshot.
// 3. Released stacks keep their pages until the process is quiet for half a second (trim_stacks); but a worker keeps the last one for itself.
// 4. Tops are staggered by a cache line from stack to stack, 32 of them: at equal distances the hot frames of all goroutines would lie in the
//    same few sets of the caches (a yield among 1000 takes 5 % less, 16.0 ns instead of 16.9).
// Spacing: page tables of 250,000 parked stacks cost 34 ms a snapshot at 64 KiB, 91 ms at 256 KiB.
#pragma once

#include <atomic>

#include <cstddef>
#include <cstdint>

#include "base/address_space.h"
#include "runtime/spare_stack.h"

namespace stray::runtime {

struct task;

inline constexpr std::size_t smallest_stack = std::size_t{64} << 10;
inline constexpr unsigned stack_classes = 15;  // up to 1 GiB

unsigned stack_class_for(std::size_t bytes) noexcept;  // the smallest class that holds it
inline std::size_t stack_size_of(unsigned stack_class) noexcept { return smallest_stack << stack_class; }

// STRAY_STACK_SIZE.
std::uint8_t default_stack_class() noexcept;
void set_default_stack_class(unsigned stack_class) noexcept;  // at start

// Sets the task's stack_lo, stack_hi and class; false when the kernel gives no memory. spare, unless nullptr, is taken and
// filled first.
bool bind_stack(task* t, unsigned stack_class, spare_stack* spare) noexcept;
void release_stack(task* t, spare_stack* spare) noexcept;
void pass_stack(task* from, task* to) noexcept;  // `to` takes over the stack of `from`

// Gives back the pages of stacks that nobody uses, but for the hottest of each class: a bounded number a call. true: there are more.
bool trim_stacks() noexcept;

// Snapshot-safe. The task whose stack holds the address (nullptr: none), and the stack's extent.
task* stack_owner(std::uintptr_t address, base::range* extent) noexcept;
// What the snapshot reads: where a size class lies, and how many of its stacks were ever used.
struct stack_view {
  base::range where;
  std::atomic<std::size_t> used{0};
  task* const* owner = nullptr;           // of each that was used; nullptr: nobody
  std::atomic<std::size_t> inherited{0};  // of those: as many had been used when this process was forked
};
const stack_view* stack_views() noexcept;  // stack_classes of them

void forget_stacks() noexcept;  // in the child of a fork

// Is it a guard page of ours?
bool in_guard(std::uintptr_t address, base::range* extent) noexcept;

}  // namespace stray::runtime
