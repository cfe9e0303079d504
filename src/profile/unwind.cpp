// The walk: a table of rules by pc, and the loop that applies them.
//
// 1. rules_ is valid for one value of `unloaded`: a module that goes may be followed by another at the same addresses.
// 2. A pc without rule is not kept: random words must not fill the table, and a module may come.
// 3. Lock order: lock_, then the dynamic linker's lock; nothing of ours unwinds inside dl_iterate_phdr.
#include "profile/unwind.h"

#include <cstring>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/address_space.h"
#include "base/sync_shim.h"
#include "profile/cfi.h"
#include "profile/modules.h"

namespace stray::profile {

namespace {

class rule_table {
 public:
  // The walk below runs under the lock: looking a rule up costs a hash probe.
  std::size_t walk(cfi::frame f, bool exact, const cfi::window& memory, std::uintptr_t* pcs, std::size_t max) {
    module_counters now = count_modules();
    std::lock_guard guard(lock_);
    if (now.unloaded != unloaded_ || rules_.size() > limit) {
      rules_.clear();
      unloaded_ = now.unloaded;
    }
    std::size_t n = 0;
    while (n < max) {
      std::uintptr_t pc = f.value[cfi::return_address];
      pcs[n++] = pc;
      const cfi::rule* rule = find(exact ? pc : pc - 1);
      if (rule == nullptr || n == max) break;
      exact = rule->signal_frame;
      if (cfi::step(*rule, f, memory)) continue;
      if (rule->cfa_is_expression || f.knows(rule->cfa_register) || !set_by_call(*rule, f, memory)) break;
      if (!cfi::step(*rule, f, memory)) break;
    }
    return n;
  }

  // By who knows that no other thread is here.
  bool in_use() {
    if (!lock_.try_lock()) return true;
    lock_.unlock();
    return false;
  }

 private:
  static constexpr std::size_t limit = 1U << 20;

  // The CFA lies behind the return address, to which a call of this function leads.
  bool set_by_call(const cfi::rule& r, cfi::frame& f, const cfi::window& memory) {
    constexpr std::uintptr_t largest_frame = 64 << 10, call_bytes = 5;
    const std::uintptr_t from = f.value[cfi::rsp];
    for (std::uintptr_t at = from, back = 0; at - from < largest_frame && memory.read(at, back); at += 8) {
      if (back < base::page_size || find(back - 1) == nullptr) continue;  // no code of a module
      unsigned char call[call_bytes];
      std::memcpy(call, reinterpret_cast<const void*>(back - call_bytes), sizeof call);
      std::int32_t distance = 0;
      std::memcpy(&distance, call + 1, sizeof distance);
      if (call[0] != 0xe8 || back + static_cast<std::uintptr_t>(std::int64_t{distance}) != r.start) continue;
      f.set(r.cfa_register, at + 8 - static_cast<std::uintptr_t>(std::int64_t{r.cfa_offset}));
      return true;
    }
    return false;
  }

  const cfi::rule* find(std::uintptr_t pc) {
    auto known = rules_.find(pc);
    if (known != rules_.end()) return &known->second;
    std::optional<cfi::rule> rule = cfi::find_rule(pc);
    if (!rule) return nullptr;
    return &rules_.emplace(pc, std::move(*rule)).first->second;
  }

  std::mutex lock_;
  std::unordered_map<std::uintptr_t, cfi::rule> rules_;
  unsigned long long unloaded_ = 0;
};

// Never destroyed: a detector thread may unwind while static destructors run.
rule_table*& table_pointer() {
  static auto* instance = new rule_table;
  return instance;
}
rule_table& table() { return *table_pointer(); }

std::size_t walk(const cfi::frame& f, const cfi::window& memory, std::uintptr_t* pcs, std::size_t max) noexcept {
  if (max == 0) return 0;
  try {
    return table().walk(f, true, memory, pcs, max);
  } catch (...) {  // no memory: the innermost address is better than none
    pcs[0] = f.value[cfi::return_address];
    return 1;
  }
}

// The bounds of the calling thread's stack that pthread made; {0, 0} when it does not know.
stack_bounds thread_stack() noexcept {
  static thread_local stack_bounds bounds = [] {
    void* lo = nullptr;
    std::size_t size = 0;
    base::own_stack(&lo, &size);
    return stack_bounds{reinterpret_cast<std::uintptr_t>(lo), reinterpret_cast<std::uintptr_t>(lo) + size};
  }();
  return bounds;
}

}  // namespace

void forget_rules() {
  if (table().in_use()) table_pointer() = new rule_table;
}

std::size_t unwind(const registers& regs, stack_bounds stack, std::uintptr_t* pcs, std::size_t max,
                   std::intptr_t image_shift) noexcept {
  return walk(cfi::frame_of(regs, regs.sp), {stack.lo, stack.hi, image_shift}, pcs, max);
}

std::size_t unwind_asleep(std::uintptr_t pc, std::uintptr_t sp, stack_bounds stack, std::uintptr_t* pcs,
                          std::size_t max) noexcept {
  cfi::frame f;
  f.set(cfi::return_address, pc);
  f.set(cfi::rsp, sp);
  return walk(f, {stack.lo, stack.hi}, pcs, max);
}

[[gnu::noinline]] std::size_t unwind_here(std::uintptr_t* pcs, std::size_t max, stack_bounds stack) noexcept {
  registers regs;
  asm volatile(
      "leaq 0(%%rip), %%rax\n\t"
      "movq %%rax, 0(%0)\n\t"
      "movq %%rsp, 8(%0)\n\t"
      "movq %%rbp, 16(%0)\n\t"
      "movq %%rbx, 24(%0)\n\t"
      "movq %%r12, 32(%0)\n\t"
      "movq %%r13, 40(%0)\n\t"
      "movq %%r14, 48(%0)\n\t"
      "movq %%r15, 56(%0)\n\t"
      :
      : "r"(&regs)
      : "rax", "memory");
  if (stack.hi == 0) {
    stack = thread_stack();
    if (regs.sp < stack.lo || regs.sp >= stack.hi) {
      // A goroutine's stack whose end we were not told: the tables of running code are trusted to stop at its entry frame.
      std::uintptr_t hi = regs.sp + (std::uintptr_t{256} << 10), end = base::reservation().hi;
      stack = {regs.sp, regs.sp < end && end < hi ? end : hi};
    }
  }
  constexpr std::size_t most = 256;
  std::uintptr_t found[most + 1];
  std::size_t n = walk(cfi::frame_of(regs, regs.sp), {regs.sp, stack.hi, 0}, found, max < most ? max + 1 : most + 1);
  for (std::size_t i = 1; i < n; ++i) pcs[i - 1] = found[i];
  return n == 0 ? 0 : n - 1;
}

}  // namespace stray::profile
