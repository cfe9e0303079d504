// The page at /debug/pprof/, in the shape of Go's.
#pragma once

#include <string>

#include "serve/routes.h"

namespace stray::serve {

std::string index_page(collector& source);

}  // namespace stray::serve
