// The wrong halves of docs/porting-from-fibers.md: the page quotes what lies between the marks
// (tests/lint/quotes.py). main runs those whose end is defined: by a panic, as a leak that the detector
// proves, or as a refusal. The others are undefined behaviour, or end the process, or hang: they are compiled only.
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
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
thread_local std::string line;

std::string echo(const stray::recv_chan<std::string>& in) {
  line = "> ";
  if (std::optional<std::string> text = in.recv())
    line += *text;  // another thread's line, or another goroutine has changed it
  return line;
}
//]

//[ errno
const char* open_late(const char* path) {
  int fd = ::open(path, O_RDONLY);
  stray::yield();
  if (fd < 0) return std::strerror(errno);  // of another goroutine's call, or of another thread
  ::close(fd);
  return "open";
}
//]

//[ std_mutex
class orders {
 public:
  void add(int order) {
    std::lock_guard held(lock_);  // owned by the thread
    all_.push_back(order);
    made_.send(order);  // parks: this thread may lock it again, or another one unlock it
  }

 private:
  std::mutex lock_;
  std::vector<int> all_;
  stray::chan<int> made_ = stray::make_chan<int>();
};
//]

//[ noexcept
[[gnu::noinline]] void wait_for_word(const stray::recv_chan<void>& ch) noexcept {
  ch.recv();
}  // reclaim cannot get out of it

void leak_one() {
  auto ch = stray::make_chan<void>();
  stray::go([ch] { wait_for_word(ch); });
}
//]

//[ fork
void in_a_child(stray::wait_group& workers) {
  if (::fork() == 0) {
    workers.wait();  // for goroutines that this process does not have
    ::_exit(0);
  }
}
//]

//[ system_call
ssize_t read_some(int fd, char* to, std::size_t n) {
  return ::read(fd, to,
                n);  // its thread runs nothing else until the watcher replaces it, after some 10 ms
}
//]

//[ future
int later() {
  std::future<int> answer = std::async(std::launch::async, [] { return 42; });
  return answer.get();  // blocks the thread; what this goroutine waits for is not seen
}
//]

//[ join
int first_of_both() {
  int result = 0;
  stray::go([&result] { result = 1; });
  stray::yield();  // no join: it may not have run
  return result;
}
//]

//[ limit
void open_all(const std::vector<std::string>& paths, stray::wait_group& done) {
  for (const std::string& path : paths) {
    done.go([path] {  // a goroutine is cheap, a descriptor is not: a million of them at once
      int fd = ::open(path.c_str(), O_RDONLY);
      stray::sleep_for(10ms);
      if (fd >= 0) ::close(fd);
    });
  }
}
//]

//[ stack
void use_a_megabyte() {
  stray::go([] {
    volatile char room
        [1 << 20];  // 64 KiB is all there is: the process ends, with the goroutine's trace and status 2
    room[0] = 1;
    static_cast<void>(room[0]);
  });
}
//]

//[ affinity
bool stays() {
  std::thread::id before = std::this_thread::get_id();
  stray::sleep_for(1ms);
  return std::this_thread::get_id() == before;  // perhaps
}
//]

//[ timer_function
void ticks(int& seen) {
  stray::timer t = stray::after_func(1ms, [&seen] { seen++; });
  stray::sleep_for(10ms);
  t.reset(1ms);  // a data race: the first run does not happen before the second one
}
//]

// Not run, but kept.
[[maybe_unused]] void* const only_compiled[] = {
    reinterpret_cast<void*>(&echo),          reinterpret_cast<void*>(&in_a_child),
    reinterpret_cast<void*>(&read_some),     reinterpret_cast<void*>(&open_all),
    reinterpret_cast<void*>(&ticks),         reinterpret_cast<void*>(&use_a_megabyte),
    reinterpret_cast<void*>(&open_late),     reinterpret_cast<void*>(&stays),
    reinterpret_cast<void*>(&first_of_both),
};
[[maybe_unused]] void (orders::*const also_compiled)(int) = &orders::add;

}  // namespace

int main() {
  expect(later() == 42, "future: right, on a thread of its own");
  if (porting::sanitized) return 0;  // no verdict there
  leak_one();
  stray::testing::until_parked(1);
  stray::leak::report r = porting::find_decided();
  if (r.total() != 1) porting::print(r);
  expect(r.total() == 1, "noexcept: leaked");
  expect(stray::leak::reclaim(r).count(stray::leak::reclaim_outcome::refused) == 1, "noexcept: refused");
}
