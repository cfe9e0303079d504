// What a later collection has more than an earlier one.
#pragma once

#include <vector>

#include "profile/sample.h"

namespace stray::serve {

// Samples of `after` less the same samples of `before`; only growth remains.
std::vector<profile::sample> growth(const std::vector<profile::sample>& before, std::vector<profile::sample> after);

}  // namespace stray::serve
