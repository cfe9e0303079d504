#include "leak/goroutines/stacks.h"

#include <ucontext.h>

#include "profile/unwind.h"
#include "runtime/context.h"
#include "runtime/current.h"
#include "runtime/labels.h"
#include "runtime/stack.h"
#include "runtime/worker.h"

namespace stray::leak {

namespace {

profile::registers from_frame(const runtime::saved_frame& f, std::uintptr_t sp) {
  return {f.pc, sp, f.rbp, f.rbx, f.r12, f.r13, f.r14, f.r15};
}

// A list of exactly its size: 10^5 with room for the deepest are 100 MB.
std::vector<std::uintptr_t> walk(const profile::registers& regs, profile::stack_bounds bounds, std::size_t most) {
  std::uintptr_t few[usual_depth];
  if (most <= usual_depth) return {few, few + profile::unwind(regs, bounds, few, most)};
  std::vector<std::uintptr_t> pcs(most);
  pcs.resize(profile::unwind(regs, bounds, pcs.data(), most));
  return pcs;
}

}  // namespace

std::vector<profile::label> read_labels(const runtime::task& t) {
  std::vector<profile::label> out;
  if (t.labels == nullptr) return out;
  t.labels->each([&](std::string_view key, std::string_view value) { out.push_back({std::string(key), std::string(value)}); });
  return out;
}

std::vector<std::uintptr_t> read_stack(const runtime::task& t, std::size_t most) {
  thread_stacks threads;
  return read_stack(t, threads, most);
}

std::vector<std::uintptr_t> read_stack(const runtime::task& t, thread_stacks& threads, std::size_t most) {
  if (t.is_thread) {
    const auto& frame = *reinterpret_cast<const runtime::thread_frame*>(t.sp);
    return walk(from_frame(frame.registers, frame.sp),
                {frame.sp & ~std::uintptr_t{7}, threads.end_of(frame.sp, t.wait_since_ns)}, most);
  }
  const auto& frame = *reinterpret_cast<const runtime::saved_frame*>(t.sp);
  return walk(from_frame(frame, t.sp + sizeof frame), {t.sp, t.stack_hi}, most);
}

std::vector<std::uintptr_t> own_stack() {
  runtime::worker* w = runtime::current_worker();
  if (w != nullptr && w->fault_context != nullptr) {
    const auto& m = static_cast<const ucontext_t*>(w->fault_context)->uc_mcontext;
    auto reg = [&m](int r) { return static_cast<std::uintptr_t>(m.gregs[r]); };
    base::range stack;
    if (runtime::stack_owner(reg(REG_RSP), &stack) == nullptr && !runtime::in_guard(reg(REG_RSP), &stack)) return {};
    profile::registers regs{reg(REG_RIP) + 1, reg(REG_RSP), reg(REG_RBP), reg(REG_RBX),
                            reg(REG_R12),     reg(REG_R13), reg(REG_R14), reg(REG_R15)};
    return walk(regs, {stack.lo + base::page_size, stack.hi}, usual_depth);
  }
  profile::stack_bounds bounds;
  if (runtime::task* t = runtime::current_task_or_null(); t != nullptr && !t->is_thread) bounds = {t->stack_lo, t->stack_hi};
  std::uintptr_t pcs[usual_depth];
  return {pcs, pcs + profile::unwind_here(pcs, usual_depth, bounds)};
}

}  // namespace stray::leak
