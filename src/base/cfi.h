// Call frame information of .eh_frame as one plain rule per pc: from a table in memory to a rule, and from a frame to its caller's.
//
// 1. A table is read only inside the bounds that it is given with; one that says nonsense gives "no rule", never a wild read.
// 2. Evaluating a rule reads memory through the caller's bounds only. CFAs only grow.
// 3. Plain data and no call to anything else: the snapshot uses it in a frozen process (trace/frames.h), the profiler on what runs
//    (profile/cfi.h).
// Rejected: libunwind with own accessors. Its shared library exports its own _Unwind_RaiseException, which can take over the exceptions of
// the whole program depending on link order, and it costs 650 ns a frame; its rules are not visible, so a cache had to probe them.
// Pure; runs anywhere.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/address_space.h"

namespace stray::base::cfi {

// DWARF numbers of x86-64; 16 is the return address.
enum : std::uint8_t {
  rax = 0,
  rdx = 1,
  rcx = 2,
  rbx = 3,
  rsi = 4,
  rdi = 5,
  rbp = 6,
  rsp = 7,
  r8 = 8,
  r12 = 12,
  r13 = 13,
  r14 = 14,
  r15 = 15,
  return_address = 16,
  register_count = 17
};

inline constexpr std::uintptr_t unreadable_personality = 1;
inline constexpr std::size_t most_expression = 256, most_length_bytes = 8;

enum class how : std::uint8_t {
  same,           // the caller's value is the present one
  undefined,      // lost; of the return address: there is no caller
  at_cfa,         // stored at CFA + n
  is_cfa,         // equals CFA + n
  in_register,    // equals register n
  at_expression,  // stored where the expression at rule::code + n says
  is_expression,  // equals it
};
struct place {
  how kind = how::same;
  std::int32_t n = 0;
};
struct saved_register {
  std::uint8_t number;
  place where;
};

struct rule {
  bool signal_frame = false;  // the caller was interrupted: its pc is exact, not a return address
  bool cfa_is_expression = false;
  bool personality_is_stored = false;  // `personality` is where its address is stored
  std::uint8_t cfa_register = rsp;
  std::uint8_t saved_count = 0;
  std::int32_t cfa_offset = 0;           // or where the expression lies
  const unsigned char* code = nullptr;   // expressions lie behind it, the length (ULEB128) before each
  saved_register saved[register_count];  // all that are not `same`
  std::uintptr_t start = 0, size = 0;    // of the code that the entry describes
  // The function that an exception asks about the frame; 0: none. unreadable_personality: there is one, and its address cannot be told.
  std::uintptr_t personality = 0;

  place of(unsigned number) const noexcept {
    for (unsigned i = 0; i < saved_count; i++) {
      if (saved[i].number == number) return saved[i].where;
    }
    return {};
  }
};

// The unwind tables of a module: `readable` holds them, `header` is .eh_frame_hdr.
struct tables {
  range readable;
  std::uintptr_t header = 0;
};
// The rule at pc (of an instruction: return address - 1); false when the tables do not describe it.
bool find_rule(const tables& in, std::uintptr_t pc, rule& out) noexcept;

// Without .eh_frame_hdr. The entry at `at` of .eh_frame: where the next one is, and where the code begins that it describes; 0: none.
// False at the end.
bool next_entry(range section, std::uintptr_t& at, std::uintptr_t& start) noexcept;
bool rule_of_entry(range section, std::uintptr_t at, std::uintptr_t pc, rule& out) noexcept;

// The registers of one frame; bit i of known tells whether value[i] is.
struct frame {
  std::uintptr_t value[register_count];
  std::uint32_t known = 0;
  void set(unsigned i, std::uintptr_t v) noexcept {
    value[i] = v;
    known |= 1U << i;
  }
  bool knows(unsigned i) const noexcept { return i < register_count && (known >> i & 1U) != 0; }
  void copy(const frame& f) noexcept {  // = may call memcpy
    for (unsigned i = 0; i < register_count; i++) value[i] = f.value[i];
    known = f.known;
  }
};

// Of saved registers: `saved` has pc, rbp, rbx and r12 to r15, which a call keeps.
template <class Saved>
frame frame_of(const Saved& saved, std::uintptr_t sp) noexcept {
  frame f;
  f.set(return_address, saved.pc);
  f.set(rsp, sp);
  f.set(rbp, saved.rbp);
  f.set(rbx, saved.rbx);
  f.set(r12, saved.r12);
  f.set(r13, saved.r13);
  f.set(r14, saved.r14);
  f.set(r15, saved.r15);
  return f;
}

// Memory that may be read: [lo, hi) lies at lo + shift.
struct window {
  std::uintptr_t lo = 0, hi = 0;
  std::intptr_t shift = 0;
  bool read(std::uintptr_t at, std::uintptr_t& word) const noexcept;
};

// From a frame to its caller's. False at the outermost frame or where the stack makes no sense: CFAs only grow and stay in the window.
bool step(const rule& r, frame& f, const window& memory) noexcept;

}  // namespace stray::base::cfi
