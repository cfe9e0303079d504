// User code compiled with -fno-exceptions -fno-rtti, on the ordinary library. Prints what it did; with `panics` it ends as any panic does.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

#if defined(__cpp_exceptions) || defined(__GXX_RTTI)
#error "compile it with -fno-exceptions -fno-rtti"
#endif

namespace {

using namespace std::chrono_literals;

struct moves_loudly {  // travels in a box
  std::string text;
  explicit moves_loudly(const char* t) : text(t) {}
  moves_loudly(moves_loudly&& other) : text(std::move(other.text)) {}
  moves_loudly& operator=(moves_loudly&& other) {
    text = std::move(other.text);
    return *this;
  }
};

void show(const char* what, long value) { std::printf("%s %ld\n", what, value); }

void channels() {
  auto numbers = stray::make_chan<int>(2);
  auto boxes = stray::make_chan<moves_loudly>();
  stray::go([numbers] {
    for (int i = 1; i <= 10; i++) numbers.send(i);
    numbers.close();
  });
  stray::go([boxes] { boxes.send(moves_loudly("box")); });
  long sum = 0;
  for (int n : numbers) sum += n;
  show("sum", sum);
  show("box", static_cast<long>(boxes.recv()->text.size()));
  show("try_send", boxes.try_send(moves_loudly("nobody")));
  char large[200] = "large";
  auto echoed = stray::make_chan<char>();
  stray::go([large, text = std::string("text"), echoed] { echoed.send(large[0] == 'l' && text == "text" ? 'y' : 'n'); });
  show("closure", *echoed.recv() == 'y');
}

void selects() {
  auto in = stray::make_chan<int>(), out = stray::make_chan<int>();
  stray::go([in] { in.send(5); });
  int got = 0;
  stray::select(stray::on_recv(in, [&](std::optional<int> v) { got = *v; }), stray::on_send(out, 1));
  show("select", got);
  stray::select(stray::on_recv(in, [&](std::optional<int>) { got = 0; }), stray::on_timeout(1ms, [&] { got = 6; }));
  show("timeout", got);
}

void locks() {
  stray::mutex m;
  stray::shared_mutex rw;
  stray::condition_variable changed;
  stray::semaphore slots(2);
  stray::latch gate(4);
  stray::barrier<> meet(4);
  stray::wait_group all;
  stray::once first;
  int inside = 0, firsts = 0;
  for (int g = 0; g < 4; g++) {
    all.go([&] {
      first.call([&] { firsts++; });
      slots.acquire();
      slots.release();
      gate.arrive_and_wait();
      meet.arrive_and_wait();
      std::shared_lock reading(rw);
      std::lock_guard hold(m);
      inside++;
      changed.notify_all();
    });
  }
  std::unique_lock hold(m);
  while (inside < 4) changed.wait(hold);
  hold.unlock();
  all.wait();
  show("inside", inside);
  show("firsts", firsts);
}

void contexts() {
  auto [ctx, cancel] = stray::with_cancel(stray::with_value(stray::background(), "key", 7));
  stray::error_group group;
  group.set_limit(2);
  group.go([done = ctx.done()] { done.recv(); });
  auto fired = stray::make_chan<void>(1);
  auto after = stray::after_func(1ms, [fired] { fired.send(); });
  fired.recv();
  stray::sleep_for(1ms);
  cancel();
  group.wait();
  show("cancelled", ctx.err() ? 1 : 0);
}

// No destructor of this code would run.
void leaks() {
  stray::go([] { stray::make_chan<int>().recv(); });
  stray::testing::until_parked(1);
  stray::leak::report found = stray::leak::find();
  stray::leak::reclaim_report r = stray::leak::reclaim(found);
  std::printf("reclaim: %s\n", r.goroutines.size() == 1 ? r.goroutines[0].reason.c_str() : "?");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "panics") == 0) {
    auto ch = stray::make_chan<int>();
    ch.close();
    stray::go([ch] { ch.send(1); });
    stray::make_chan<int>().recv();
  }
  channels();
  selects();
  locks();
  contexts();
  leaks();
  return 0;
}
