// The call frame information (base/cfi.h) of the modules that are loaded now.
//
// 1. Tables are read only inside the segment of the loaded module that holds them, under the dynamic linker's lock, so that a module cannot
//    be unloaded under the reader.
// 2. A rule owns what it needs (expression bytes are copied): it outlives its module without harm.
// Any thread; allocates.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/cfi.h"

namespace stray::profile::cfi {

using namespace base::cfi;

struct rule : base::cfi::rule {
  std::vector<unsigned char> bytes;  // of its expressions; never copied
  rule() = default;
  rule(rule&&) = default;
  rule& operator=(rule&&) = default;
};

// The rule at pc (of an instruction: return address - 1); none when no loaded module describes it.
std::optional<rule> find_rule(std::uintptr_t pc);

}  // namespace stray::profile::cfi
