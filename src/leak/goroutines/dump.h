// Dumps of goroutines and the samples of profiles.
#pragma once

#include <cstddef>
#include <map>
#include <string_view>
#include <vector>

#include "leak/model/findings.h"
#include "profile/sample.h"

namespace stray::leak {

// All goroutines and blocked OS threads as stacks, leaked ones first when `f` is given (marked), the caller's own first otherwise.
// own_thread: the caller's, too, when it is an OS thread; a server's thread that asks for a profile is none of it.
std::vector<profile::stack_entry> all_stacks(const findings* f, bool only_leaked, bool own_thread = false);
std::vector<profile::sample> goroutine_samples();
// How many goroutines there are, by state: "running", "runnable", or what they wait for (Go's texts).
std::map<std::string_view, std::size_t> goroutines_by_state();

}  // namespace stray::leak
