// The name of a function's debugging entry.
//
// 1. The linkage name decides where there is one. gcc gives none to local functions (static, lambdas): then the name is put together from the
//    entry's scopes, spelled as the demangler would: "create()::{lambda()#1}::operator()".
// 2. The number of a lambda counts those before it in the same function with as many parameters; types of parameters are not spelled.
#pragma once

#include <elfutils/libdw.h>

#include "profile/source_line.h"

namespace stray::profile {

// The entry that stands inside its scopes: what inlined and outlined copies of a function refer to.
Dwarf_Die origin_of(Dwarf_Die function);
// Sets function, system_name and start_line. May step over many entries (gcc's local functions): keep the answer by origin_of().addr.
void name_function(Dwarf_Die* function, source_line& line);

}  // namespace stray::profile
