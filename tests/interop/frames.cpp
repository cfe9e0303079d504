// One leak for each way in which a user's function may be called by ours, for frames.py: compiled with all, little and no debug information. The
// functions of namespace shop are what stacks must show.
#include <concepts>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace shop {

template <class T>
struct queue {
  stray::chan<T> items = stray::make_chan<T>();
  inline void drain() { items.recv(); }
};

[[gnu::always_inline]] inline void forever() { stray::make_chan<int>().recv(); }

[[gnu::noinline]] void nested(int) {
  auto step = [q = queue<int>()]() mutable { q.drain(); };
  step();
}
[[gnu::noinline]] void in_wait_group(stray::wait_group& group) {
  group.go([] { forever(); });
}
[[gnu::noinline]] void in_error_group(stray::error_group& group) {
  group.go([] { forever(); });
}
[[gnu::noinline]] void in_select() {
  stray::go([] {
    auto ready = stray::make_chan<int>(1), never = stray::make_chan<int>();
    ready.send(1);
    stray::select(stray::on_recv(ready, [](std::optional<int>) { forever(); }), stray::on_recv(never));
  });
}
[[gnu::noinline]] void in_blocking() {
  stray::go([] { stray::blocking([] { forever(); }); });
}
[[gnu::noinline]] void in_labels() {
  stray::go([] { stray::pprof::labels({{"a", "b"}}, [] { forever(); }); });
}
[[gnu::noinline]] void in_once() {
  stray::go([] {
    stray::once once;
    once.call([] { forever(); });
  });
}
template <std::integral T>
void in_constrained(T v) {
  stray::go([v] {
    if (v != 0) forever();
  });
}
[[gnu::noinline]] void in_function() {
  std::function<void()> f = [] { forever(); };
  stray::go(f);
}
void bound(int, const std::string&) { forever(); }
struct member {
  void run() { forever(); }
};
struct functor {
  void operator()() { forever(); }
};
[[gnu::noinline]] void in_large_closure() {
  struct {
    char bytes[1000];
  } large{};
  stray::go([large] {
    if (large.bytes[0] == 0) forever();
  });
}

}  // namespace shop

int main() {
  static auto* waited = new stray::wait_group;
  static auto* group = new stray::error_group;
  static shop::member member;
  stray::go(shop::nested, 1);
  shop::in_wait_group(*waited);
  shop::in_error_group(*group);
  shop::in_select();
  shop::in_blocking();
  shop::in_labels();
  shop::in_once();
  shop::in_constrained(1);
  shop::in_function();
  stray::go(shop::bound, 1, std::string("a"));
  stray::go(&shop::member::run, &member);
  stray::go(shop::functor{});
  shop::in_large_closure();
  stray::testing::until_parked(13);
  std::cout << stray::leak::find() << std::flush;
  std::_Exit(0);
}
