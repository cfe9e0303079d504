#include "trace/libc_text.h"

#include <link.h>

#include "base/address_space.h"
#include "base/modules.h"
#include "trace/text.h"

namespace stray::trace {
namespace {

constinit base::range texts[8];
constinit std::size_t used = 0;

int on_libc(dl_phdr_info* info, std::size_t, void*) noexcept {
  const char* name = info->dlpi_name == nullptr ? "" : info->dlpi_name;
  for (const char* p = name; *p != 0; p++) {
    if (*p == '/') name = p + 1;
  }
  if (!starts_with(name, "libc.so") && !starts_with(name, "libc-2") && !starts_with(name, "ld-linux") &&
      !starts_with(name, "libpthread")) {
    return 0;
  }
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const auto& h = info->dlpi_phdr[i];
    if (h.p_type != PT_LOAD || (h.p_flags & PF_X) == 0 || used == 8) continue;
    texts[used++] = {info->dlpi_addr + h.p_vaddr, info->dlpi_addr + h.p_vaddr + h.p_memsz};
  }
  return 0;
}

}  // namespace

void find_libc_text() noexcept { base::each_module(on_libc, nullptr); }

bool in_libc(std::uintptr_t pc) noexcept {
  for (std::size_t i = 0; i < used; i++) {
    if (texts[i].holds(pc)) return true;
  }
  return false;
}

bool in_libc_syscall(std::uintptr_t pc) noexcept {
  for (std::size_t i = 0; i < used; i++) {
    const base::range& r = texts[i];
    if (!r.holds(pc) || pc - r.lo < 2 || r.hi - pc < 2) continue;
    auto* b = reinterpret_cast<const unsigned char*>(pc);
    // Behind the instruction, or before it where the kernel will restart the call.
    return (b[-2] == 0x0f && b[-1] == 0x05) || (b[0] == 0x0f && b[1] == 0x05);
  }
  return false;
}

}  // namespace stray::trace
