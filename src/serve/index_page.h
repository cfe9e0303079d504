// The page at /debug/pprof/, in the shape of Go's.
#pragma once

#include <ctime>
#include <string>

#include "serve/collector.h"

namespace stray::serve {

std::string index_page(collector& source);

std::string utc_text(std::time_t seconds);  // "2026-11-30T21:00:00Z"

}  // namespace stray::serve
