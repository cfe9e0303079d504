// Ends, or does not, by what the argument names: `overflow`, `exception`, `hostile`, `int`, `panic`, or `settings`, which prints what it runs with,
// `deadlock`, where nobody can go on.
// `stalled_exception`, `stalled_lock`: and a thread holds the loader's list of modules for ever, without which no function has a name.
// `stalled_what`: what() does not return. `what_...`: it ends in another way.
// `signals`: a goroutine raises some, a thread that it starts does, and then kill is called.
// `wild_main`, `wild_goroutine`: a read through a wild pointer that leads to the guard page of an ended goroutine's stack, or of its own.
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <latch>
#include <link.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace shop {

int sink;

[[gnu::noinline]] int recurse(int depth) {
  volatile char frame[256] = {};
  frame[depth & 255] = 1;
  return depth < 0 ? 0 : recurse(depth + 1) + frame[0];  // here: overflow
}
[[gnu::noinline]] void take_order() {
  throw std::runtime_error("no such order");  // here: exception
}
[[gnu::noinline]] void take_hostile_order() {
  throw std::runtime_error("order \x1b]0;x\a of\ttwo\n\ngoroutine 1 [running]:\xc2\x9b");  // here: hostile
}
[[gnu::noinline]] void take_number() {
  throw 42;  // here: int
}
[[gnu::noinline]] void close_twice() {
  auto ch = stray::make_chan<int>();
  ch.close();
  ch.close();  // here: panic
}
// Returns once the list is held.
void hold_modules() {
  static std::latch held(1);
  std::thread([] {
    dl_iterate_phdr(
        [](dl_phdr_info*, std::size_t, void*) {
          held.count_down();
          for (;;) pause();
          return 0;
        },
        nullptr);
  }).detach();
  held.wait();
}
class stalled_error : public std::exception {
 public:
  explicit stalled_error(bool here) : here_(here) {}
  const char* what() const noexcept override {
    while (here_) pause();
    hold_modules();  // only now: to throw takes the list, too
    return "no such order";
  }

 private:
  bool here_;
};
class bad_error : public std::exception {
 public:
  explicit bad_error(std::string way) : way_(std::move(way)) {}
  const char* what() const noexcept override {
    if (way_ == "what_throws") static_cast<void>(std::string().at(1));
    if (way_ == "what_crashes") return reinterpret_cast<const char*>(8);
    if (way_ == "what_aborts") std::abort();
    if (way_ == "what_recurses") sink = recurse(0);
    if (way_ == "what_exits") std::exit(0);
    if (way_ == "what_quick_exits") std::quick_exit(0);
    return nullptr;
  }

 private:
  std::string way_;
};
[[gnu::noinline]] void take_bad_order(const std::string& way) {
  throw bad_error(way);  // here: what
}
[[gnu::noinline]] volatile char* guard_page() {
  char here = 0;
  return reinterpret_cast<volatile char*>(reinterpret_cast<std::uintptr_t>(&here) &
                                          ~std::uintptr_t{0xffff});  // stacks are 64 KiB
}
[[gnu::noinline]] void read_wild(volatile char* at) { sink = at[64]; }
[[gnu::noinline]] void wait_for_order(const stray::chan<int>& orders) { orders.recv(); }

}  // namespace shop

int main(int, char** argv) {
  const std::string what = argv[1];
  if (what == "settings") {
    std::cout << "maxprocs " << stray::maxprocs() << std::endl;
    auto done = stray::make_chan<void>();
    stray::go([done] { done.send(); });
    done.recv();
    return 0;
  }
  if (what == "deadlock") {
    std::cout << "waits" << std::endl;
    stray::make_chan<int>().recv();
  }
  if (what == "signals") {
    stray::go([] {
      for (int s : {SIGTERM, SIGINT, SIGUSR1}) std::raise(s);
      pthread_kill(pthread_self(), SIGTERM);
      int ends[2];
      if (pipe(ends) != 0) _exit(1);
      close(ends[0]);
      std::cout << "pipe " << (write(ends[1], "x", 1) < 0 && errno == EPIPE ? "EPIPE" : "written") << std::endl;
      std::thread([] { std::raise(SIGTERM); }).join();
      std::cout << "raised" << std::endl;
      kill(getpid(), SIGTERM);
    });
    for (;;) pause();
  }
  auto orders = stray::make_chan<int>();
  stray::go(shop::wait_for_order, orders);
  stray::testing::until_parked(1);
  if (what == "overflow") stray::go([] { shop::sink = shop::recurse(0); });
  if (what == "exception") stray::go(shop::take_order);
  if (what == "hostile") stray::go(shop::take_hostile_order);
  if (what == "int") stray::go(shop::take_number);
  if (what == "panic") stray::go(shop::close_twice);
  if (what == "stalled_exception" || what == "stalled_what")
    stray::go([what] { throw shop::stalled_error(what == "stalled_what"); });
  if (what.starts_with("what_")) stray::go(shop::take_bad_order, what);
  if (what == "wild_goroutine") stray::go([] { shop::read_wild(shop::guard_page()); });
  if (what == "wild_main") {
    auto told = stray::make_chan<volatile char*>(1);
    stray::go([told] { told.send(shop::guard_page()); });
    shop::read_wild(*told.recv());
  }
  if (what == "stalled_lock") {
    shop::hold_modules();
    stray::mutex().unlock();
  }
  stray::make_chan<int>().recv();
  return 0;
}
