// The path of a file of /proc that is named by a number. Runs anywhere.
#pragma once

#include <cstdint>

#include "trace/text.h"

namespace stray::trace {

struct proc_name {
  proc_name(const char* folder, int number) noexcept {
    (text(path, sizeof path) << folder).dec(static_cast<std::uint64_t>(number));
  }
  char path[64];
};

}  // namespace stray::trace
