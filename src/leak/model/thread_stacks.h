// Where the stacks of OS threads end.
#pragma once

#include <cstdint>
#include <vector>

#include "base/address_space.h"

namespace stray::leak {

// The process' mappings, read when first needed, and again for who has begun to wait since then, whose
// stack may be a newer one at the same place. One for a whole collection: the list is as long as there are threads.
class thread_stacks {
 public:
  std::uintptr_t end_of(std::uintptr_t sp, std::int64_t waits_since_ns);  // sp: nobody's

 private:
  std::vector<base::range> all_;  // sorted
  std::int64_t read_ns_ = 0;      // 0: never
};

}  // namespace stray::leak
