// Does code set the stack pointer to something else than its own frame? By its bytes: instructions of variable length cannot be told apart for
// sure, so a pattern counts at every byte. That finds every such instruction, and now and then one that is none.
//
// Allowed are push, pop, call, ret, leave; adding and rounding by a constant; subtracting anything (alloca: down, in one's own frame); rsp from rbp, or from rbp or itself at a constant
// distance; and `lea -8(%r10), %rsp; ret`, by which gcc ends a function that has rounded its frame.
// Not told: pop %rsp, whose one byte is everywhere. Who enters another stack does it by mov, xchg or lea, or by a switch of its own.
// Pure; runs in the snapshot.
#pragma once

#include <cstddef>

namespace stray::trace {

namespace stack_switches {

constexpr unsigned rsp = 4, rbp = 5;

struct modrm {
  unsigned mod, reg, rm;
  explicit constexpr modrm(unsigned char b) noexcept : mod(b >> 6U), reg(b >> 3U & 7), rm(b & 7U) {}
};

// rex, and behind it an instruction of 64 bits. at: readable to at + longest.
constexpr std::size_t longest = 10;
constexpr bool is_one(const unsigned char* at) noexcept {
  const bool high_reg = (at[0] & 4) != 0, high_rm = (at[0] & 1) != 0;
  const modrm m(at[2]);
  if (m.mod == 3 && (at[0] & 2) != 0) return false;  // an index where there is none: the distance of a call
  const bool to_reg = m.reg == rsp && !high_reg, to_rm = m.mod == 3 && m.rm == rsp && !high_rm;
  switch (at[1]) {
    case 0x8b:  // mov to reg
      return to_reg && !(m.mod == 3 && m.rm == rbp && !high_rm);
    case 0x8d:  // lea
      if (!to_reg) return false;
      if (at[0] == 0x49 && at[2] == 0x62 && at[3] == 0xf8 && at[4] == 0xc3) return false;
      return !(m.mod != 0 && m.rm == rbp && !high_rm) && !(m.rm == rsp && at[3] == 0x24 && at[0] == 0x48);
    case 0x89:  // mov to rm
      return to_rm && !(m.reg == rbp && !high_reg);
    case 0x87:  // xchg
      return to_rm || to_reg;
    case 0x94:  // xchg with rax
      return at[0] == 0x48;
    case 0xbc:  // mov of a constant: an address
      return at[0] == 0x48 && at[8] == 0 && at[9] == 0;
    case 0xc7:
      return to_rm && m.reg == 0;
    case 0x03:  // add, or, and, xor to reg; movsxd
    case 0x0b:
    case 0x23:
    case 0x33:
    case 0x63:
      return to_reg;
    case 0x01:  // the same to rm
    case 0x09:
    case 0x21:
    case 0x31:
      return to_rm;
    case 0x0f: {  // cmov
      const modrm third(at[3]);
      return (at[2] & 0xf0) == 0x40 && third.reg == rsp && !high_reg;
    }
    default:
      return false;
  }
}

}  // namespace stack_switches

constexpr bool may_switch_stacks(const unsigned char* code, std::size_t bytes) noexcept {
  using stack_switches::longest;
  for (std::size_t i = 0; i + 3 <= bytes; i++) {
    if ((code[i] & 0xf8) != 0x48) continue;
    if (i + longest <= bytes) {
      if (stack_switches::is_one(code + i)) return true;
      continue;
    }
    unsigned char last[longest] = {};
    for (std::size_t k = 0; i + k < bytes; k++) last[k] = code[i + k];
    if (stack_switches::is_one(last)) return true;
  }
  return false;
}

}  // namespace stray::trace
