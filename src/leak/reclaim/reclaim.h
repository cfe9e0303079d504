// Unwinds goroutines that have leaked (reclaim.cpp).
#pragma once

#include <stray/leak.hpp>

namespace stray::leak {

reclaim_report reclaim_now(const report& r, const reclaim_options& o);

}  // namespace stray::leak
