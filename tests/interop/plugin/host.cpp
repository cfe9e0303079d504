// A program that does not link stray, loads the library whose path is its argument, closes it, loads it again. Prints what it got.
#include <cstdio>
#include <dlfcn.h>
#include <thread>

#include "plugin.h"

namespace {

struct loaded {
  void* handle;
  explicit loaded(const char* path) : handle(dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    if (handle == nullptr) std::printf("dlopen: %s\n", dlerror());
  }
  template <class F>
  F* find(const char* name) const {
    return reinterpret_cast<F*>(dlsym(handle, name));
  }
};
#define FIND(library, name) (library).find<decltype(name)>(#name)

void wait_for_ticks(unsigned long (*ticks)()) {
  for (unsigned long before = ticks(); ticks() < before + 3;) std::this_thread::yield();
}

}  // namespace

int main(int, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  loaded first(argv[1]);
  if (first.handle == nullptr) return 1;
  std::printf("sum %ld\n", FIND(first, plugin_sum)(100));
  std::printf("strict %ld\n", FIND(first, plugin_strict_sum)(100));
  long of_thread = 0;
  std::thread([&] { of_thread = FIND(first, plugin_sum)(10); }).join();
  std::printf("thread %ld\n", of_thread);
  FIND(first, plugin_leave_waiting)();
  FIND(first, plugin_report)();
  auto ticks = FIND(first, plugin_ticks);
  wait_for_ticks(ticks);
  std::printf("dlclose %d\n", dlclose(first.handle));
  wait_for_ticks(ticks);
  loaded again(argv[1]);
  if (again.handle == nullptr) return 1;
  std::printf("same %d\n", FIND(again, plugin_ticks) == ticks);
  wait_for_ticks(FIND(again, plugin_ticks));
  std::printf("released %d %d\n", FIND(again, plugin_releases)(0), FIND(again, plugin_releases)(1));
  std::printf("sum %ld\n", FIND(again, plugin_sum)(1000));
  FIND(again, plugin_report)();
  return 0;
}
