// The ranges given to leak::add_root.
#pragma once

#include "base/address_space.h"

namespace stray::leak {

inline constexpr unsigned max_extra_roots = 4096;

struct extra_root_list {
  base::range ranges[max_extra_roots];
  unsigned count = 0;
};
extra_root_list copy_extra_roots() noexcept;
void free_extra_roots() noexcept;  // in the child of a fork: nobody is in the middle of them

}  // namespace stray::leak
