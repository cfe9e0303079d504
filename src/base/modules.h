// dl_iterate_phdr, but never in the middle of it when the program forks: glibc's child would find its lock taken for ever.
#pragma once

#include <cstddef>
#include <link.h>

namespace stray::base {

// f(info, size, arg) for each module until it returns something else than 0, which is returned. f neither forks nor calls this again.
int each_module(int (*f)(dl_phdr_info* info, std::size_t size, void* arg), void* arg);

}  // namespace stray::base
