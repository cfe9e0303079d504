#include "trace/saved_contexts.h"

#include <ucontext.h>

namespace stray::trace {

void saved_contexts::begin(image& in, slice<const range> dead) noexcept {
  in_ = &in;
  dead_ = dead;
  asm("mov %%fs:0x30, %0" : "=r"(secret_));  // pointer_guard of the control block, the same in all threads
  sign_ = static_cast<int>(secret_ >> 47);
  if (dead.size == 0) return;
  dead_lo_ = dead[0].lo;
  dead_size_ = dead[dead.size - 1].hi - dead_lo_;
}

bool saved_contexts::is_code(std::uintptr_t address) const noexcept {
  const mapping* m = in_->map.find(address);
  return m != nullptr && m->executable;
}

void saved_contexts::look_at_mangled(std::uintptr_t at, std::uintptr_t bytes, std::uintptr_t lo, std::uintptr_t hi) noexcept {
  if (bytes + 16 > hi || !may_be_mangled(load_any(bytes + 8)) || !is_code(plain_of(load_any(bytes + 8)))) return;
  constexpr std::uintptr_t to_rbp = 40;  // rbx, rbp, r12 to r15, rsp, rip
  const std::uint64_t rbp = bytes - lo >= to_rbp ? load_any(bytes - to_rbp) : 0;
  found_.push(*in_->memory, {at, plain_of(load_any(bytes)), may_be_mangled(rbp) ? plain_of(rbp) : 0});
}

void saved_contexts::look_at_plain(std::uintptr_t at, std::uintptr_t bytes, std::uintptr_t lo, std::uintptr_t hi) noexcept {
  constexpr std::uintptr_t one_stack = 64 << 10;
  const std::uintptr_t sp = load_any(bytes);
  if (sp - at < one_stack) return;  // a frame pointer, saved in its frame
  std::size_t first = 0, n = dead_.size;
  while (n > 1) {
    const std::size_t half = n / 2;
    if (dead_[first + half].lo <= sp) first += half;
    n -= half;
  }
  if (!dead_[first].holds(sp)) return;
  constexpr std::uintptr_t to_fpregs = 8 * (REG_CR2 + 1 - REG_RSP), fpregs_mem = 264;  // getcontext points the one at the other
  const bool by_getcontext =
      hi - bytes >= to_fpregs + 8 && load_any(bytes + to_fpregs) == at + fpregs_mem && is_code(load_any(bytes + 8));
  const bool by_compiler = bytes - lo >= 16 && load_any(bytes - 16) - sp < one_stack && is_code(load_any(bytes - 8));
  if (by_getcontext || by_compiler) found_.push(*in_->memory, {at, sp, 0});
}

}  // namespace stray::trace
