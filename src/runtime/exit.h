// Goroutines while the process exits.
//
// 1. At exit, before the destructors of statics that are older than the runtime, workers get a flag and at most 100 ms to come to rest; they
//    are never cancelled.
// 2. While such a destructor waits in a primitive, they run again: it may wait for goroutines to end. (If it was a goroutine that called exit,
//    they then go on.)
#pragma once

namespace stray::runtime {

void stop_goroutines_at_exit() noexcept;  // by the thread that has called exit
void resume_goroutines() noexcept;        // rule 2
// Around a wait of an OS thread.
class goroutines_in_exit {
 public:
  goroutines_in_exit() noexcept;
  ~goroutines_in_exit();
  goroutines_in_exit(const goroutines_in_exit&) = delete;
  goroutines_in_exit& operator=(const goroutines_in_exit&) = delete;

 private:
  bool resumed_;
};
void forget_exit() noexcept;  // in the child of a fork

}  // namespace stray::runtime
