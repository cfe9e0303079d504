// The task source that is always there: goroutines, and the OS threads that use their primitives.
#pragma once

#include "leak/model/task_source.h"

namespace stray::leak {

task_source& goroutines() noexcept;

}  // namespace stray::leak
