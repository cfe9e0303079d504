// The right halves of docs/porting-from-fibers.md: the page quotes what lies between the marks
// (tests/lint/quotes.py), and main runs all of it.
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <stray/stray.hpp>
#include "expect.hpp"

using namespace std::chrono_literals;
using porting::expect;

namespace {

//[ thread_local
std::string echo(const stray::recv_chan<std::string>& in) {
  std::string line = "> ";  // on the goroutine's own stack, wherever it goes on
  if (std::optional<std::string> text = in.recv()) line += *text;
  return line;
}
//]

//[ errno
std::string open_late(const char* path) {
  int fd = ::open(path, O_RDONLY);
  int error = errno;  // at once, before anything that may block
  stray::yield();
  if (fd < 0) return error == ENOENT ? "no such file" : "error";
  ::close(fd);
  return "open";
}
//]

//[ std_mutex
class orders {
 public:
  void add(int order) {
    std::lock_guard held(lock_);  // stray::mutex: the goroutine owns it, on whatever thread
    all_.push_back(order);
    made_.send(order);
  }
  stray::recv_chan<int> made() const { return made_; }

 private:
  stray::mutex lock_;
  std::vector<int> all_;
  stray::chan<int> made_ = stray::make_chan<int>();
};
//]

//[ noexcept
[[gnu::noinline]] void wait_for_word(const stray::recv_chan<int>& ch) {
  ch.recv();
}  // not noexcept: it may be unwound

void leak_one() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] { wait_for_word(ch); });
}
std::size_t end_the_leaked() {
  stray::leak::report r = stray::leak::find();
  return stray::leak::reclaim(r).count(stray::leak::reclaim_outcome::reclaimed);
}
//]

//[ fork
// The child has no goroutine of its parent's. It may start its own, and ends by _exit.
int answer_of_a_child() {
  pid_t child = ::fork();
  if (child == 0) {
    auto answer = stray::make_chan<int>();
    stray::go([answer] { answer.send(42); });
    ::_exit(*answer.recv());
  }
  int status = 0;
  stray::blocking([&] { return ::waitpid(child, &status, 0); });
  return WEXITSTATUS(status);
}
//]

//[ system_call
struct result {
  ssize_t bytes;
  int error;
};
// errno is read inside: after blocking() the goroutine may be on another thread.
result read_some(int fd, char* to, std::size_t n) {
  return stray::blocking([&] {
    ssize_t got = ::read(fd, to, n);
    return result{got, got < 0 ? errno : 0};
  });
}
//]

//[ future
int later() {
  auto answer = stray::make_chan<int>(1);
  std::thread worker([answer] { answer.send(42); });  // any thread may use a channel
  int got = *answer.recv();  // blocks this goroutine only, and the detector sees it
  worker.join();
  return got;
}
//]

//[ join
// A goroutine has no handle. What is to be waited for is a wait_group, or a channel that carries the result.
int sum_of_both(std::function<int()> a, std::function<int()> b) {
  auto results = stray::make_chan<int>(2);
  for (std::function<int()>& f : {std::ref(a), std::ref(b)})
    stray::go([f, results] { results.send(f()); });
  return *results.recv() + *results.recv();
}
//]

//[ limit
int most_at_a_time(int tasks, int limit) {
  std::atomic<int> running{0}, most{0};
  stray::error_group group;
  group.set_limit(limit);  // go() blocks until there is a place
  for (int i = 0; i < tasks; i++) {
    group.go([&] {
      int now = ++running, before = most;
      while (before < now && !most.compare_exchange_weak(before, now)) {
      }
      stray::yield();
      running--;
    });
  }
  group.wait();
  return most;
}
//]

//[ stack
int use_a_megabyte() {
  auto answer = stray::make_chan<int>();
  stray::go({.name = "big", .stack_size = 2 << 20}, [answer] {
    volatile char room[1 << 20];
    room[0] = 42;
    answer.send(room[0]);
  });
  return *answer.recv();
}
//]

//[ affinity
// For a library that keeps its state in the thread: the goroutine stays, and the thread runs
// nothing else meanwhile.
class on_one_thread {
 public:
  on_one_thread() { stray::lock_os_thread(); }
  ~on_one_thread() { stray::unlock_os_thread(); }
  on_one_thread(const on_one_thread&) = delete;
  on_one_thread& operator=(const on_one_thread&) = delete;
};

bool stays() {
  on_one_thread here;
  std::thread::id before = std::this_thread::get_id();
  stray::sleep_for(1ms);
  return std::this_thread::get_id() == before;
}
//]

//[ stop_token
// A jthread's stop_token as the parent of what the goroutines do.
bool stops_with(std::stop_source& source) {
  auto [ctx, cancel] = stray::with_stop_token(stray::background(), source.get_token());
  stray::wait_group done;
  done.go([c = ctx] { c.done().recv(); });
  source.request_stop();
  done.wait();
  return ctx.stop_token().stop_requested();
}
//]

//[ timer_function
// Runs of one after_func may overlap, and none happens before the next: what they share is locked.
int ticks(int n) {
  stray::mutex lock;
  int seen = 0;
  auto ran = stray::make_chan<void>();
  stray::timer t = stray::after_func(1ms, [&] {
    {
      std::lock_guard held(lock);
      seen++;
    }
    ran.send();
  });
  for (int i = 1; i < n; i++) {
    ran.recv();
    t.reset(1ms);
  }
  ran.recv();
  std::lock_guard held(lock);
  return seen;
}
//]

}  // namespace

template <class F>
auto on_a_goroutine(F f) {
  auto result = stray::make_chan<decltype(f())>(1);
  stray::go([f, result] { result.send(f()); });
  return *result.recv();
}

int main() {
  auto lines = stray::make_chan<std::string>(1);
  lines.send("hello");
  expect(on_a_goroutine([&] { return echo(lines); }) == "> hello", "thread_local");
  expect(on_a_goroutine([] { return open_late("/nowhere/at/all"); }) == "no such file", "errno");
  orders shop;
  stray::go([&shop] { shop.add(7); });
  expect(shop.made().recv() == 7, "std_mutex");
  if (!porting::sanitized) {  // no verdict there, and no fork of a process with threads
    leak_one();
    stray::testing::until_parked(1);
    stray::leak::report r = porting::find_decided();
    if (r.total() != 1) porting::print(r);
    expect(r.total() == 1, "noexcept: leaked");
    expect(end_the_leaked() == 1, "noexcept: reclaimed");
    expect(answer_of_a_child() == 42, "fork");
  }
  int ends[2];
  expect(::pipe(ends) == 0, "pipe");
  stray::go([to = ends[1]] { stray::blocking([to] { return ::write(to, "x", 1); }); });
  char byte = 0;
  expect(on_a_goroutine([&] { return read_some(ends[0], &byte, 1).bytes; }) == 1 && byte == 'x',
         "system_call");
  expect(read_some(-1, &byte, 1).error == EBADF, "system_call: errno");
  expect(on_a_goroutine(later) == 42, "future");
  expect(sum_of_both([] { return 1; }, [] { return 2; }) == 3, "join");
  expect(most_at_a_time(50, 3) <= 3, "limit");
  expect(use_a_megabyte() == 42, "stack");
  expect(on_a_goroutine(stays), "affinity");
  std::stop_source source;
  expect(stops_with(source), "stop_token");
  expect(ticks(3) == 3, "timer_function");
  expect(porting::leaked(0) == 0, "nothing is leaked");
}
