// In the child of a fork: the records of the parent's tasks (after_fork.h 3 and 4).
#pragma once

#include <atomic>

namespace stray::runtime {

struct task;

extern std::atomic<bool> parents_tasks_live;  // read by every claim: they are still to be ended
void end_parents_tasks() noexcept;
void give_up_parents_holds() noexcept;  // what they hold for reading is held by nobody who can unlock it

extern task* forking_record;              // of the thread that forked, until that takes it; read by the snapshot, too
void remember_forking_thread() noexcept;  // in the handler
task* take_forking_record() noexcept;     // of the calling thread; nullptr: it has none

}  // namespace stray::runtime
