#include "runtime/after_fork.h"

#include <cstdlib>
#include <pthread.h>

#include "base/first_stack.h"
#include "base/sync_shim.h"
#include "runtime/started.h"

namespace stray::runtime {

namespace {
pthread_key_t at_end_of_thread;
bool key_made = false;

// Not by the end of [stack]: what glibc calls main's stack ends with the page of its first frame, below the environment.
bool is_main_thread() noexcept {
  void* lo = nullptr;
  std::size_t size = 0;
  base::own_stack(&lo, &size);
  return size == 0 || base::first_stack_end() - reinterpret_cast<std::uintptr_t>(lo) < size;  // 0: cannot be told
}

void end_of_forking_thread(void* /*set*/) noexcept {
  if (started() && !is_main_thread()) std::exit(0);
}
}  // namespace

void watch_end_of_forking_thread() noexcept { key_made = pthread_key_create(&at_end_of_thread, end_of_forking_thread) == 0; }
void note_forking_thread() noexcept {
  if (key_made) pthread_setspecific(at_end_of_thread, &key_made);
}

void end_of_forking_goroutine() noexcept { std::exit(0); }

}  // namespace stray::runtime
