// How long a demangled name may become: each level of pair<T, T> doubles it, so 190 characters of a symbol are 18 MB of text, and the C++ library
// has no limit (nor does its shared form export the demangler with a callback, which could be stopped).
#pragma once

#include <cstddef>
#include <string_view>

namespace stray::profile {

// No less than the length of what __cxa_demangle makes of a symbol that a compiler has made, _Z and all; of others: some number. Linear.
std::size_t expansion_bound(std::string_view symbol);

}  // namespace stray::profile
