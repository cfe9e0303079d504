// The two ways in which the library ends the process. Neither can be caught; both print to stderr and dump the goroutines.
//
//   fatal(text)         the program misused a lock, or cannot go on: "fatal error: <text>", dump, exit status 2
//   STRAY_CHECK(cond)   a bug of ours: message with file and line, dump, abort
//
// What can be caught is stray::panic (include/stray/panic.hpp); what is normal is a return value.
#pragma once

namespace stray::base {

[[noreturn]] void fatal(const char* text) noexcept;
[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;
// One line on stderr, formatted as printf does; for messages that a user must see. Safe in a signal handler.
[[gnu::format(printf, 1, 2)]] void say(const char* format, ...) noexcept;

}  // namespace stray::base

#define STRAY_CHECK(condition) \
  (__builtin_expect(static_cast<bool>(condition), 1) ? void() : ::stray::base::check_failed(#condition, __FILE__, __LINE__))
