// Leaks that are started through functions of the program's own: who is named as their creators. Prints a line a group: what blocks, created by,
// called by. Compiled with and without frame pointers, optimized and not (creators.py). The arguments: modules that call back, of which
// the first is closed before the other one is opened.
#include <alloca.h>
#include <dlfcn.h>
#include <functional>
#include <set>
#include <thread>

#include "report.hpp"

namespace {

#define KEEP_FRAME asm volatile("" ::: "memory")  // the call before it is none at the end of the function

[[gnu::noinline]] void wait_for_nobody() {
  auto ch = stray::make_chan<int>();
  ch.recv();
}

[[gnu::noinline]] void spawn_task(std::function<void()> f) {
  stray::go([f = std::move(f)] { f(); });
  KEEP_FRAME;
}

[[gnu::noinline]] void take_order() {
  for (int i = 0; i < 2; i++) spawn_task(wait_for_nobody);
  KEEP_FRAME;
}
[[gnu::noinline]] void take_back() {
  spawn_task(wait_for_nobody);
  KEEP_FRAME;
}

[[gnu::noinline]] void spawn_logged(std::function<void()> f) {
  spawn_task(std::move(f));
  KEEP_FRAME;
}
[[gnu::noinline]] void take_logged() {
  spawn_logged(wait_for_nobody);
  KEEP_FRAME;
}

volatile std::size_t some = 100;
[[gnu::noinline]] void spawn_with_room(void (*f)()) {
  volatile char* room = static_cast<char*>(alloca(some));
  room[0] = 1;
  char too[some];
  asm volatile("" ::"r"(too) : "memory");
  stray::go(f);
  KEEP_FRAME;
}
[[gnu::noinline]] void take_roomy() {
  spawn_with_room(wait_for_nobody);
  KEEP_FRAME;
}

[[gnu::noinline]] void first_of_thread() {
  stray::go(wait_for_nobody);
  KEEP_FRAME;
}
[[gnu::noinline]] void first_of_goroutine() {
  stray::go(wait_for_nobody);
  KEEP_FRAME;
}

[[gnu::noinline]] void called_back() {
  if (some != 0) spawn_task(wait_for_nobody);  // another function than take_back to who folds equal ones
  KEEP_FRAME;
}
[[gnu::noinline]] bool through_module(const char* path, bool closes) {
  void* module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) return false;
  auto call = reinterpret_cast<void (*)(void (*)())>(dlsym(module, "module_calls"));
  if (call != nullptr) call(called_back);
  return call != nullptr && (!closes || dlclose(module) == 0);
}

std::string names(const stray::leak::group& g) {
  std::string text = std::to_string(g.count) + " created by " + report::short_name(g.created_by.function);
  for (const stray::leak::frame& f : g.called_by) text += ", called by " + report::short_name(f.function);
  return text;
}

void print(const stray::leak::report& r) {
  std::multiset<std::string> lines;
  for (const stray::leak::group& g : r.groups()) lines.insert(names(g));
  for (const std::string& line : lines) std::cout << line << '\n';
}

}  // namespace

int main(int, char** argv) {
  take_order();
  take_back();
  take_logged();
  take_roomy();
  std::thread(first_of_thread).join();
  stray::go(first_of_goroutine);
  if (!through_module(argv[1], true)) return 1;
  stray::testing::until_parked(8);
  stray::leak::report before = stray::leak::find();
  print(before);
  auto is_new = [&](const stray::leak::goroutine& one) {
    for (const stray::leak::group& g : before.groups())
      for (const stray::leak::goroutine& old : g.goroutines)
        if (old.identity() == one.identity()) return false;
    return true;
  };
  if (!through_module(argv[2], false)) return 1;  // mostly where the first one was
  stray::testing::until_parked(9);
  print(stray::leak::find().only([&](const auto&, const stray::leak::goroutine& one) { return is_new(one); }));
  return 0;
}
