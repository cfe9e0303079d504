// User code and the library must mean the same by std::string, std::vector and their like. If they do not, the link fails with the name of
// the option; it would crash in the first function that returns a container.
//
// 1. Every object that includes a header of ours refers to one symbol, whose name tells how the standard library was compiled in it. The
//    library defines the one of its own mode.
// 2. The reference is a pointer that nobody reads; --gc-sections keeps it.
#pragma once

#include <version>

#if defined(_GLIBCXX_DEBUG)
#define STRAY_LIBRARY_MODE stray_must_be_compiled_with_GLIBCXX_DEBUG
#elif defined(_GLIBCXX_USE_CXX11_ABI) && !_GLIBCXX_USE_CXX11_ABI
#define STRAY_LIBRARY_MODE stray_must_be_compiled_with_GLIBCXX_USE_CXX11_ABI_0
#elif defined(_LIBCPP_VERSION)
#define STRAY_LIBRARY_MODE stray_must_be_compiled_with_libcxx
#else
#define STRAY_LIBRARY_MODE stray_must_be_compiled_without_GLIBCXX_DEBUG_and_with_GLIBCXX_USE_CXX11_ABI_1
#endif

extern "C" const char STRAY_LIBRARY_MODE;

namespace stray::detail {

#if __has_cpp_attribute(gnu::retain)
[[gnu::used, gnu::retain]]
#else
[[gnu::used]]
#endif
inline const char* const library_mode = &STRAY_LIBRARY_MODE;

}  // namespace stray::detail
