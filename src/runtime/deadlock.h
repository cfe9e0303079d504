// The global deadlock: every goroutine and every thread of the process is blocked in a primitive, and nothing is left that could act.
//
// 1. Looked for by the watcher, in a quiet process: all permits idle, no timer pending, every task waiting for a reason that ends by
//    another's act only, and every OS thread ours at rest or such a task. Main must be among the waiting ones.
// 2. One look reads many words, so it counts only if none of them has changed by its end: then there was an instant at which all held.
// 3. A thread that is not ours and not in a primitive could do anything: no verdict. So a process that serves an endpoint never has one.
#pragma once

namespace stray::runtime {

void check_deadlock() noexcept;  // ends the process if there is one
bool may_deadlock() noexcept;    // main is blocked: worth looking again
// The calling thread acts on request only: it does not count as one that could act.
void register_passive_thread() noexcept;
void forget_passive_threads() noexcept;  // in the child of a fork

}  // namespace stray::runtime
