// Which shared objects are loaded, as the two counters of the dynamic linker: caches of addresses are good while they stand still.
#pragma once

namespace stray::profile {

struct module_counters {
  unsigned long long loaded = 0, unloaded = 0;
  bool operator==(const module_counters&) const = default;
};
// About 100 ns; takes the dynamic linker's lock. Any thread.
module_counters count_modules() noexcept;

}  // namespace stray::profile
