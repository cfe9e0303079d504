// Who called the function that called go, and who called that one: two return addresses more for the record, so that a leak which was
// started through a wrapper still tells from where.
//
// 1. One 64-bit word a return address says what a step needs: the CFA's distance from rsp or rbp, and where rbp was saved. What is left of the
//    address is in the same word, so that a word is read and written whole, and no reader takes one for another address.
// 2. Whatever a word says, only what lies between the caller's stack pointer and the end of the stack that it stands on is read, and each
//    step goes up. Where that stack is not known (a fiber of the client's, a signal's stack) nothing is.
// 3. A word may be wrong: a module was unloaded, and another one lies where it was. Then a name in a report is; the first address of the new
//    module that is not known yet empties the table.
// 4. The chain ends where a step is not as plain as that: no description, an expression, a signal frame, a full place of the table. A call
//    site costs some microseconds once, and never again, whatever the program does.
// 5. The table lies in hidden memory: no word of it is a root. What is kept in records are addresses of code.
// Measured (decision 0051): 440 ns a frame by the full unwinder, beside a spawn of 57 ns; some ns here.
// Rejected: chains that are interned, for a number of four bytes in the record: a hash a spawn, and the record has 16 bytes to spare.
// Any goroutine or thread; allocates nothing and takes no lock but for an address that is new.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/address_space.h"
#include "runtime/task.h"

namespace stray::runtime {

class step_table {
 public:
  static constexpr std::uint64_t by_rbp = 1;
  static constexpr unsigned rbp_shift = 1, cfa_shift = 8, rule_bits = 27;
  static constexpr std::uint64_t most_rbp = 127, most_cfa = (1U << (rule_bits - cfa_shift)) - 1;  // in words

  void start();  // before the first goroutine

  // The step from the frame that a call will return to at pc; one that leads nowhere when there is none.
  std::uint64_t find(std::uintptr_t pc) noexcept {
    const std::uintptr_t tag = pc >> set_bits;
    std::atomic<std::uint64_t>* const set = words_ + ((pc ^ tag) & (sets - 1)) * ways;
    for (unsigned i = 0; i < ways; i++) {
      const std::uint64_t word = set[i].load(std::memory_order_relaxed);  // order: complete in itself
      if (word >> rule_bits == tag) return word;
    }
    return fill(set, pc);
  }

 private:
  static constexpr unsigned set_bits = 10, sets = 1U << set_bits, ways = 4;
  static_assert(64 - rule_bits >= 47 - set_bits);

  static std::uint64_t fill(std::atomic<std::uint64_t>* set, std::uintptr_t pc) noexcept;

  std::atomic<std::uint64_t>* words_ = nullptr;
};
extern constinit step_table steps;

// Not a load of the language: a return address belongs to the frame of somebody else.
inline std::uintptr_t word_of_stack(std::uintptr_t at) noexcept {
  std::uintptr_t word;
  asm("movq %1, %0" : "=r"(word) : "m"(*reinterpret_cast<const std::uintptr_t*>(at)));
  return word;
}

// The two steps from the frame {pc, sp, rbp}, all of it in `stack`; 0: it goes no further.
inline void callers_of(std::uintptr_t pc, std::uintptr_t sp, std::uintptr_t rbp, base::range stack,
                       std::uintptr_t (&out)[task::most_callers]) noexcept {
  for (std::uintptr_t& one : out) one = 0;
  if (!stack.holds(sp)) return;
  for (std::uintptr_t& one : out) {
    const std::uint64_t step = steps.find(pc);
    const std::uintptr_t words = step >> step_table::cfa_shift & step_table::most_cfa;
    const std::uintptr_t cfa = ((step & step_table::by_rbp) != 0 ? rbp : sp) + words * 8;
    const base::range in{sp, stack.hi};
    if (!in.holds(cfa - 8) || cfa % 8 != 0) return;
    if (const std::uintptr_t saved = step >> step_table::rbp_shift & step_table::most_rbp; saved != 0) {
      if (!in.holds(cfa - saved * 8)) return;
      rbp = word_of_stack(cfa - saved * 8);
    }
    pc = word_of_stack(cfa - 8);
    sp = cfa;
    one = pc;
  }
}

// The stack that the caller stands on, as far as is known: of a goroutine, or of the calling thread.
base::range stack_of_thread() noexcept;
inline base::range stack_of(const task* self) noexcept {
#if defined(STRAY_SIM)
  static_cast<void>(self);
  return {};  // a look that only the first run in a process takes would make the runs of a seed differ
#else
  return self != nullptr && self->stack_hi != 0 ? base::range{self->stack_lo, self->stack_hi} : stack_of_thread();
#endif
}

}  // namespace stray::runtime
