#include "leak/stacks.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <ucontext.h>

#include "base/clock.h"
#include "base/syscalls.h"
#include "profile/unwind.h"
#include "runtime/context.h"
#include "runtime/current.h"
#include "runtime/labels.h"
#include "runtime/stack.h"
#include "runtime/worker.h"

namespace stray::leak {

namespace {

// The calling thread's file: the one of the process is empty once main has ended.
std::vector<base::range> read_mappings() {
  std::vector<base::range> all;
  std::string text;
  const int fd = base::sys::open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return all;
  for (std::size_t used = 0;;) {
    text.resize(used + (std::size_t{64} << 10));
    const long got = base::sys::read(fd, text.data() + used, text.size() - used);
    used += got > 0 ? static_cast<std::size_t>(got) : 0;
    text.resize(used);
    if (got <= 0) break;
  }
  base::sys::close(fd);
  for (const char *at = text.data(), *end = at + text.size(); at < end;) {
    base::range r{};
    auto [dash, bad] = std::from_chars(at, end, r.lo, 16);
    if (bad == std::errc() && dash != end && std::from_chars(dash + 1, end, r.hi, 16).ec == std::errc()) all.push_back(r);
    at = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
    if (at++ == nullptr) break;
  }
  return all;
}

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

// The mapping that holds an OS thread's stack pointer: its end bounds the walk.
std::uintptr_t thread_stacks::end_of(std::uintptr_t sp, std::int64_t waits_since_ns) {
  if (read_ns_ == 0 || waits_since_ns >= read_ns_) {
    read_ns_ = base::now_ns();
    all_ = read_mappings();
  }
  auto above =
      std::upper_bound(all_.begin(), all_.end(), sp, [](std::uintptr_t at, const base::range& r) { return at < r.hi; });
  return above != all_.end() && sp >= above->lo ? above->hi : sp;
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
