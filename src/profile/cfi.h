// Call frame information of .eh_frame as one plain rule per pc.
//
// 1. Tables are read only inside the segment of the loaded module that holds them, under the dynamic linker's lock, so that a module cannot
//    be unloaded under the reader; a table that says nonsense gives "no rule", never a wild read.
// 2. A rule owns what it needs (expression bytes are copied): it outlives its module without harm.
// 3. Evaluating a rule reads memory through the caller's bounds only.
// Rejected: libunwind with own accessors. Its shared library exports its own _Unwind_RaiseException, which can take over the exceptions of
// the whole program depending on link order, and it costs 650 ns a frame; its rules are not visible, so a cache had to probe them.
// Any thread; allocates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stray::profile::cfi {

// DWARF numbers of x86-64; 16 is the return address.
enum : std::uint8_t {
  rbx = 3,
  rbp = 6,
  rsp = 7,
  r12 = 12,
  r13 = 13,
  r14 = 14,
  r15 = 15,
  return_address = 16,
  register_count = 17
};

inline constexpr std::uintptr_t unreadable_personality = 1;

enum class how : std::uint8_t {
  same,           // the caller's value is the present one
  undefined,      // lost; of the return address: there is no caller
  at_cfa,         // stored at CFA + n
  is_cfa,         // equals CFA + n
  in_register,    // equals register n
  at_expression,  // stored where expression n says
  is_expression,  // equals expression n
};
struct place {
  how kind = how::same;
  std::int32_t n = 0;
  bool operator==(const place&) const = default;
};
struct saved_register {
  std::uint8_t number = 0;
  place where;
};

struct rule {
  bool signal_frame = false;  // the caller was interrupted: its pc is exact, not a return address
  std::int16_t cfa_expression = -1;
  std::uint8_t cfa_register = rsp;
  std::uint8_t saved_count = 0;
  std::int32_t cfa_offset = 0;
  std::array<saved_register, register_count> saved{};  // all that are not `same`
  // The function that an exception asks about the frame; 0: none. unreadable_personality: there is one, and its address cannot be told.
  std::uintptr_t personality = 0;
  std::vector<std::string> expressions;
};

// The rule at pc (of an instruction: return address - 1); none when no loaded module describes it.
std::optional<rule> find_rule(std::uintptr_t pc);

// The registers of one frame; bit i of known tells whether value[i] is.
struct frame {
  std::array<std::uintptr_t, register_count> value{};
  std::uint32_t known = 0;
  void set(unsigned i, std::uintptr_t v) noexcept {
    value[i] = v;
    known |= 1U << i;
  }
  bool knows(unsigned i) const noexcept { return i < register_count && (known >> i & 1U) != 0; }
};

// Memory that may be read: [lo, hi) lies at lo + shift.
struct window {
  std::uintptr_t lo = 0, hi = 0;
  std::intptr_t shift = 0;
  bool read(std::uintptr_t at, std::uintptr_t& word) const noexcept;
};

// From a frame to its caller's. False at the outermost frame or where the stack makes no sense: CFAs only grow and stay in the window.
bool step(const rule& r, frame& f, const window& memory) noexcept;

}  // namespace stray::profile::cfi
