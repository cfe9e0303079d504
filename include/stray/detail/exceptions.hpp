// What the headers need so that user code may be compiled with -fno-exceptions: no `throw`, and handlers that go with the option.
//
// 1. With exceptions the macros are what they look like: the body runs when one passes, and it goes on (UNDO) or ends there (CATCH).
// 2. Without, no handler stands in user code: stray's own panics find none and end the process with their text, as any uncaught one.
#pragma once

#include <string>

#include <stray/detail/library_mode.hpp>

#pragma GCC visibility push(default)

namespace stray::detail {

[[noreturn]] void throw_panic(const char* text);
[[noreturn]] void throw_panic(const std::string& text);

}  // namespace stray::detail

#pragma GCC visibility pop

#if defined(__cpp_exceptions)
#define STRAY_TRY try
#define STRAY_UNDO(...) \
  catch (...) {         \
    __VA_ARGS__;        \
    throw;              \
  }
#define STRAY_CATCH(...) \
  catch (...) {          \
    __VA_ARGS__;         \
  }
#else
#define STRAY_TRY
#define STRAY_UNDO(...)
#define STRAY_CATCH(...)
#endif
