// dl_iterate_phdr, but never in the middle of it when the program forks: glibc's child would find its lock taken for ever.
#pragma once

#include <cstddef>
#include <cstdint>
#include <link.h>

#include "base/cfi.h"

namespace stray::base {

// f(info, size, arg) for each module until it returns something else than 0, which is returned. f neither forks nor calls this again.
int each_module(int (*f)(dl_phdr_info* info, std::size_t size, void* arg), void* arg);

// Does the module's code hold pc? Then `out` is where its unwind tables are: header 0, it has no index of them; readable empty, it has no
// segment that holds them.
bool tables_at(const dl_phdr_info& info, std::uintptr_t pc, cfi::tables& out) noexcept;

}  // namespace stray::base
