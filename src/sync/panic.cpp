// Panics of the headers, which may not throw themselves.
#include <stray/panic.hpp>

#include <stray/detail/exceptions.hpp>

extern "C" const char STRAY_LIBRARY_MODE = 0;  // the library's own mode

namespace stray::detail {

void throw_panic(const char* text) { throw panic(text); }
void throw_panic(const std::string& text) { throw panic(text); }

}  // namespace stray::detail
