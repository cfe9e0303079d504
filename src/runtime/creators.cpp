#include "runtime/creators.h"

#include <link.h>
#include <sys/resource.h>

#include "base/cfi.h"
#include "base/check.h"
#include "base/first_stack.h"
#include "base/modules.h"
#include "base/sync_shim.h"
#include "base/syscalls.h"

namespace stray::runtime {

namespace cfi = base::cfi;

constinit step_table steps;

namespace {

constexpr std::uint64_t leads_nowhere = 0;  // its CFA is the stack pointer

std::uint64_t step_of(const cfi::rule& r) noexcept {
  const cfi::place back = r.of(cfi::return_address), rsp = r.of(cfi::rsp), rbp = r.of(cfi::rbp);
  const bool by_rbp = r.cfa_register == cfi::rbp;
  if (r.signal_frame || r.cfa_is_expression || (!by_rbp && r.cfa_register != cfi::rsp)) return leads_nowhere;
  if (back.kind != cfi::how::at_cfa || back.n != -8 || rsp.kind != cfi::how::same) return leads_nowhere;
  if (r.cfa_offset < 8 || r.cfa_offset % 8 != 0) return leads_nowhere;
  const auto cfa = static_cast<std::uint64_t>(r.cfa_offset) / 8;
  std::uint64_t saved = 0;
  if (rbp.kind == cfi::how::at_cfa) {
    if (rbp.n >= 0 || rbp.n % 8 != 0) return leads_nowhere;
    saved = static_cast<std::uint64_t>(-std::int64_t{rbp.n}) / 8;
  } else if (rbp.kind != cfi::how::same) {
    return leads_nowhere;
  }
  if (cfa > step_table::most_cfa || saved > step_table::most_rbp) return leads_nowhere;
  return cfa << step_table::cfa_shift | saved << step_table::rbp_shift | (by_rbp ? step_table::by_rbp : 0);
}

struct question {
  std::uintptr_t at;
  std::uint64_t step = leads_nowhere;
  unsigned long long unloaded = 0;  // modules, so far
};

int answer(dl_phdr_info* info, std::size_t, void* arg) {
  auto& q = *static_cast<question*>(arg);
  q.unloaded = info->dlpi_subs;
  cfi::tables in;
  cfi::rule r;
  if (!base::tables_at(*info, q.at, in)) return 0;
  if (in.header != 0 && cfi::find_rule(in, q.at, r)) q.step = step_of(r);
  return 1;
}

}  // namespace

void step_table::start() {
  if (words_ != nullptr) return;  // the child of a fork
  const base::range where = base::carve(base::page_up(sizeof(std::uint64_t) * sets * ways));
  if (!base::commit(where.lo, where.size())) base::fatal("out of memory at start");
  words_ = reinterpret_cast<std::atomic<std::uint64_t>*>(where.lo);
}

[[gnu::noinline, gnu::cold]] std::uint64_t step_table::fill(std::atomic<std::uint64_t>* set, std::uintptr_t pc) noexcept {
  static constinit std::atomic<unsigned long long> unloaded{0};
  if ((pc & ~base::address_mask) != 0) return leads_nowhere;
  unsigned free = 0;
  while (free < ways && set[free].load(std::memory_order_relaxed) != 0) free++;  // order: as in find
  if (free == ways) return leads_nowhere;
  question q{pc - 1};
  base::each_module(answer, &q);
  if (unloaded.exchange(q.unloaded) != q.unloaded) {
    for (unsigned i = 0; i < sets * ways; i++) steps.words_[i].store(0, std::memory_order_relaxed);  // order: as in find
  }
  const std::uint64_t word = pc >> set_bits << rule_bits | q.step;
  set[free].store(word, std::memory_order_relaxed);  // order: as in find; what another thread has put there is looked up again
  return word;
}

namespace {

// Of the first thread without pthread_getattr_np, which reads all of the process's map there, through blocks of the heap.
base::range stack_of_first_thread() noexcept {
  constexpr std::uintptr_t most = std::uintptr_t{1} << 30;
  const std::uintptr_t end = base::first_stack_end() & ~std::uintptr_t{7};
  rlimit limit{};
  if (getrlimit(RLIMIT_STACK, &limit) != 0) return {};
  const std::uintptr_t size = limit.rlim_cur < most ? limit.rlim_cur : most;
  return size < end ? base::range{end - size, end} : base::range{};
}

base::range find_own_stack() noexcept {
  if (base::thread_id() == base::sys::getpid()) {
    const base::range first = stack_of_first_thread();
    if (first.holds(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)))) return first;
  }
  void* lo = nullptr;
  std::size_t size = 0;
  base::own_stack(&lo, &size);
  const auto from = reinterpret_cast<std::uintptr_t>(lo);
  return {from, from + size};
}

// Complements: an end may be the address of somebody's block. 0: not looked for yet.
struct own_bounds {
  std::uintptr_t not_lo = 0, not_hi = 0;
};
constinit thread_local own_bounds bounds [[gnu::tls_model("initial-exec")]];

}  // namespace

[[gnu::noinline]] base::range stack_of_thread() noexcept {
  own_bounds& known = bounds;
  if (known.not_hi == 0) {
    const base::range found = find_own_stack();
    known = {~found.lo, ~found.hi};
  }
  return {~known.not_lo, ~known.not_hi};
}

}  // namespace stray::runtime
