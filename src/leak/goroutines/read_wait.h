// One waiting task as a finding, without a verdict.
#pragma once

#include <optional>

#include "leak/model/findings.h"
#include "runtime/task.h"

namespace stray::leak {

class thread_stacks;  // stacks.h

// What can be read of a task that is in wait w; nothing if it is not. listed: it is going to be reported as one that can never wake
// (mark_listed).
std::optional<finding> describe_wait(runtime::task& t, wait_id w, thread_stacks& threads, bool listed);

}  // namespace stray::leak
