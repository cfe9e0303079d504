#include "base/modules.h"

#include <mutex>
#include <pthread.h>

#include "base/spin_lock.h"

namespace stray::base {

namespace {

constinit spin_lock walking;

#if !defined(STRAY_SIM)
[[gnu::constructor(102)]] void keep_forks_out() noexcept {
  pthread_atfork([] { walking.lock(); }, [] { walking.unlock(); }, [] { walking.unlock(); });
}
#endif

}  // namespace

int each_module(int (*f)(dl_phdr_info*, std::size_t, void*), void* arg) {
  std::lock_guard hold(walking);
  return dl_iterate_phdr(f, arg);
}

bool tables_at(const dl_phdr_info& info, std::uintptr_t pc, cfi::tables& out) noexcept {
  bool holds_pc = false;
  out = {};
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const auto& ph = info.dlpi_phdr[i];
    if (ph.p_type == PT_LOAD && (ph.p_flags & PF_X) != 0 && pc - (info.dlpi_addr + ph.p_vaddr) < ph.p_memsz) holds_pc = true;
    if (ph.p_type == PT_GNU_EH_FRAME) out.header = info.dlpi_addr + ph.p_vaddr;
  }
  for (int i = 0; holds_pc && out.header != 0 && i < info.dlpi_phnum; ++i) {
    const auto& ph = info.dlpi_phdr[i];
    const range s{info.dlpi_addr + ph.p_vaddr, info.dlpi_addr + ph.p_vaddr + ph.p_memsz};
    if (ph.p_type == PT_LOAD && (ph.p_flags & PF_R) != 0 && s.holds(out.header)) out.readable = s;
  }
  return holds_pc;
}

}  // namespace stray::base
