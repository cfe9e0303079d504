// One frame to its caller: applies a rule to registers and a bounded window of memory. Pure.
#include "base/cfi.h"
#include "base/cfi_read.h"

namespace stray::base::cfi {

// A stack under AddressSanitizer has poisoned gaps between its variables, and ThreadSanitizer would see races with a thread that is stopped:
// both are none of our reading's business.
[[gnu::no_sanitize_address, gnu::no_sanitize_thread]] bool window::read(std::uintptr_t at,
                                                                        std::uintptr_t& word) const noexcept {
  using stack_word [[gnu::may_alias, gnu::aligned(1)]] = std::uintptr_t;
  if (at < lo || at >= hi || hi - at < sizeof word) return false;
  word = *reinterpret_cast<const stack_word*>(at + static_cast<std::uintptr_t>(shift));
  return true;
}

namespace {

// The DWARF expressions that compilers, linkers and libc emit in CFI; anything else gives false.
class evaluator {
 public:
  evaluator(const frame& f, const window& memory) noexcept : f_(f), memory_(memory) {}

  // at: where the expression's length lies.
  bool run(const unsigned char* at, const std::uintptr_t* initial, std::uintptr_t& result) noexcept {
    const auto start = reinterpret_cast<std::uintptr_t>(at);
    byte_reader length(start, start + most_length_bytes);
    const std::uint64_t size = length.uleb();
    const std::uintptr_t begin = length.at();
    if (!length.ok() || size > most_expression) return false;
    byte_reader r(begin, begin + size);
    if (initial != nullptr) push(*initial);
    for (int steps = 0; r.more(); ++steps) {
      if (steps == 512 || !one(r, begin)) return false;
    }
    if (!r.ok() || !good_ || size_ == 0) return false;
    result = stack_[size_ - 1];
    return true;
  }

 private:
  void push(std::uintptr_t v) noexcept {
    if (size_ == room)
      good_ = false;
    else
      stack_[size_++] = v;
  }
  std::uintptr_t pop() noexcept {
    if (size_ == 0) {
      good_ = false;
      return 0;
    }
    return stack_[--size_];
  }
  std::uintptr_t peek(std::size_t depth) noexcept {
    if (depth >= size_) {
      good_ = false;
      return 0;
    }
    return stack_[size_ - 1 - depth];
  }
  void push_register(std::uint64_t reg, std::int64_t offset) noexcept {
    if (reg >= register_count || !f_.knows(static_cast<unsigned>(reg)))
      good_ = false;
    else
      push(f_.value[reg] + static_cast<std::uintptr_t>(offset));
  }

  bool one(byte_reader& r, std::uintptr_t begin) noexcept {
    auto op = r.get<std::uint8_t>();
    if (op >= 0x30 && op <= 0x4f) {
      push(op - 0x30U);
    } else if (op >= 0x50 && op <= 0x6f) {
      push_register(op - 0x50U, 0);
    } else if (op >= 0x70 && op <= 0x8f) {
      push_register(op - 0x70U, r.sleb());
    } else if (op >= 0x1a && op <= 0x2e && op != 0x1f && op != 0x20 && op != 0x23 && op != 0x28) {
      binary(op);
    } else {
      other(op, r, begin);
    }
    return good_ && r.ok();
  }
  void binary(std::uint8_t op) noexcept {
    std::uintptr_t b = pop(), a = pop();
    auto sa = static_cast<std::intptr_t>(a), sb = static_cast<std::intptr_t>(b);
    switch (op) {
      case 0x1a:
        push(a & b);
        break;
      case 0x1c:
        push(a - b);
        break;
      case 0x1e:
        push(a * b);
        break;
      case 0x21:
        push(a | b);
        break;
      case 0x22:
        push(a + b);
        break;
      case 0x24:
        push(b < 64 ? a << b : 0);
        break;
      case 0x25:
        push(b < 64 ? a >> b : 0);
        break;
      case 0x26:
        push(static_cast<std::uintptr_t>(sa >> (b < 64 ? b : 63)));
        break;
      case 0x27:
        push(a ^ b);
        break;
      case 0x29:
        push(sa == sb);
        break;
      case 0x2a:
        push(sa >= sb);
        break;
      case 0x2b:
        push(sa > sb);
        break;
      case 0x2c:
        push(sa <= sb);
        break;
      case 0x2d:
        push(sa < sb);
        break;
      case 0x2e:
        push(sa != sb);
        break;
      default:
        good_ = false;
    }
  }
  void jump(byte_reader& r, std::uintptr_t begin, std::int16_t by) noexcept {
    std::uintptr_t to = r.at() + static_cast<std::uintptr_t>(std::int64_t{by});
    if (to < begin || to > r.end())
      good_ = false;
    else
      r = byte_reader(to, r.end());
  }
  void other(std::uint8_t op, byte_reader& r, std::uintptr_t begin) noexcept {
    std::uintptr_t word = 0;
    switch (op) {
      case 0x06:
        good_ = memory_.read(pop(), word) && good_;
        push(word);
        break;  // deref
      case 0x08:
        push(r.get<std::uint8_t>());
        break;
      case 0x09:
        push(static_cast<std::uintptr_t>(std::int64_t{r.get<std::int8_t>()}));
        break;
      case 0x0a:
        push(r.get<std::uint16_t>());
        break;
      case 0x0b:
        push(static_cast<std::uintptr_t>(std::int64_t{r.get<std::int16_t>()}));
        break;
      case 0x0c:
        push(r.get<std::uint32_t>());
        break;
      case 0x0d:
        push(static_cast<std::uintptr_t>(std::int64_t{r.get<std::int32_t>()}));
        break;
      case 0x0e:
      case 0x0f:
        push(r.get<std::uint64_t>());
        break;
      case 0x10:
        push(r.uleb());
        break;
      case 0x11:
        push(static_cast<std::uintptr_t>(r.sleb()));
        break;
      case 0x12:
        push(peek(0));
        break;
      case 0x13:
        pop();
        break;
      case 0x14:
        push(peek(1));
        break;
      case 0x15:
        push(peek(r.get<std::uint8_t>()));
        break;
      case 0x16: {
        std::uintptr_t b = pop(), a = pop();
        push(b);
        push(a);
        break;
      }
      case 0x1f:
        push(0 - pop());
        break;
      case 0x20:
        push(~pop());
        break;
      case 0x23:
        push(pop() + r.uleb());
        break;
      case 0x28: {
        auto by = r.get<std::int16_t>();
        if (pop() != 0) jump(r, begin, by);
        break;
      }
      case 0x2f:
        jump(r, begin, r.get<std::int16_t>());
        break;
      case 0x92: {
        std::uint64_t reg = r.uleb();
        push_register(reg, r.sleb());
        break;
      }
      case 0x96:
        break;
      default:
        good_ = false;
    }
  }

  const frame& f_;
  const window& memory_;
  static constexpr std::size_t room = 16;
  std::uintptr_t stack_[room];
  std::size_t size_ = 0;
  bool good_ = true;
};

bool caller_value(const rule& r, const place& where, const frame& f, std::uintptr_t cfa, const window& memory,
                  std::uintptr_t& value) noexcept {
  auto n = static_cast<std::uintptr_t>(std::int64_t{where.n});
  switch (where.kind) {
    case how::at_cfa:
      return memory.read(cfa + n, value);
    case how::is_cfa:
      value = cfa + n;
      return true;
    case how::in_register:
      if (!f.knows(static_cast<unsigned>(where.n))) return false;
      value = f.value[static_cast<unsigned>(where.n)];
      return true;
    case how::at_expression:
    case how::is_expression: {
      if (!evaluator(f, memory).run(r.code + where.n, &cfa, value)) return false;
      return where.kind == how::is_expression || memory.read(value, value);
    }
    case how::same:
    case how::undefined:
      break;
  }
  return false;
}

}  // namespace

bool step(const rule& r, frame& f, const window& memory) noexcept {
  std::uintptr_t cfa = 0;
  if (r.cfa_is_expression) {
    if (!evaluator(f, memory).run(r.code + r.cfa_offset, nullptr, cfa)) return false;
  } else {
    if (!f.knows(r.cfa_register)) return false;
    cfa = f.value[r.cfa_register] + static_cast<std::uintptr_t>(std::int64_t{r.cfa_offset});
  }
  if (cfa <= f.value[rsp] || cfa > memory.hi) return false;

  constexpr std::uint32_t kept_by_calls = 1U << rbx | 1U << rbp | 1U << r12 | 1U << r13 | 1U << r14 | 1U << r15;
  frame caller;
  caller.copy(f);
  caller.known &= kept_by_calls;
  for (unsigned i = 0; i < r.saved_count; ++i) {
    unsigned number = r.saved[i].number;
    std::uintptr_t value = 0;
    if (caller_value(r, r.saved[i].where, f, cfa, memory, value))
      caller.set(number, value);
    else
      caller.known &= ~(1U << number);
  }
  if (!caller.knows(return_address)) return false;
  if (!caller.knows(rsp)) caller.set(rsp, cfa);
  if (caller.value[return_address] == 0 || caller.value[rsp] <= f.value[rsp]) return false;
  f.copy(caller);
  return true;
}

}  // namespace stray::base::cfi
