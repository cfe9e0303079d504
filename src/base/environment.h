// The only way to the environment: nobody calls getenv (tests/lint/environment.py).
//
// A program that runs with rights that its caller lacks (setuid, setgid, file capabilities: AT_SECURE) must not be told by that caller what to
// serve, write or do: there every variable counts as unset.
#pragma once

#include <cstdlib>

namespace stray::base {

// nullptr: unset, or not to be trusted.
inline const char* environment(const char* name) noexcept { return ::secure_getenv(name); }

}  // namespace stray::base
