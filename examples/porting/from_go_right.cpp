// The right halves of docs/porting-from-go.md: the page quotes what lies between the marks
// (tests/lint/quotes.py), and main runs all of it.
#include <atomic>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <stray/stray.hpp>
#include "expect.hpp"

using namespace std::chrono_literals;
using porting::expect;

namespace {

//[ capture
void greet(stray::send_chan<std::string> out) {
  std::string name = "gopher";
  stray::go([name, out] { out.send("hello " + name); });  // the closure has copies of its own
}
//]

//[ loop
int sum_of_squares(int n) {
  auto squares = stray::make_chan<int>(static_cast<std::size_t>(n));
  stray::wait_group done;
  for (int i = 0; i < n; i++) {
    done.go([i, squares] { squares.send(i * i); });  // this turn's i
  }
  done.wait();
  squares.close();
  int sum = 0;
  for (int square : squares) sum += square;
  return sum;
}
//]

//[ defer
template <class F>
struct defer {
  F f;
  ~defer() { f(); }
};
template <class F>
defer(F) -> defer<F>;

void transfer(stray::mutex& lock, int& from, int& to, int amount) {
  std::lock_guard held(lock);  // unlocks on every way out, also by an exception
  defer audit{[&] { expect(from >= 0, "no overdraft"); }};
  if (from < amount) throw std::runtime_error("not enough");
  from -= amount;
  to += amount;
}
//]

//[ panic
std::string outcome_of(int n) {
  stray::error_group group;
  group.go([n] {
    if (n < 0) throw std::invalid_argument("negative");
  });
  try {
    group.wait();  // rethrows the first exception that left one of its functions
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  return "fine";
}
//]

//[ context
// The context comes first, by const reference, and every wait has it as a case.
std::optional<int> next_job(const stray::context& ctx, const stray::recv_chan<int>& jobs) {
  std::optional<int> job;
  stray::select(stray::on_recv(jobs, [&](std::optional<int> j) { job = j; }), stray::on_recv(ctx.done()));
  return job;
}

int work_for(std::chrono::milliseconds limit, const stray::recv_chan<int>& jobs) {
  auto [ctx, cancel] = stray::with_timeout(stray::background(), limit);
  defer stop{[&c = cancel] { c(); }};  // Go's `defer cancel()`
  int done = 0;
  while (next_job(ctx, jobs)) done++;
  return done;
}
//]

//[ wait_group
int count_to(int n) {
  std::atomic<int> counted{0};
  stray::wait_group done;
  for (int i = 0; i < n; i++) {
    done.go([&counted] { counted++; });  // adds before it starts the goroutine
  }
  done.wait();
  return counted;
}
//]

//[ answer
std::optional<int> ask(std::chrono::milliseconds patience) {
  auto answer = stray::make_chan<int>(1);  // room for the answer that nobody takes
  stray::go([answer] {
    stray::sleep_for(20ms);
    answer.send(42);
  });
  std::optional<int> got;
  stray::select(stray::on_recv(answer, [&](std::optional<int> a) { got = a; }),
                stray::on_timeout(patience));
  return got;
}
//]

//[ nil
// A nil channel never is ready: that switches a case of a select off.
void merge(stray::recv_chan<int> a, stray::recv_chan<int> b, const stray::send_chan<int>& out) {
  while (a || b) {
    stray::select(stray::on_recv(a,
                                 [&](std::optional<int> v) {
                                   if (v) {
                                     out.send(*v);
                                   } else {
                                     a = {};
                                   }
                                 }),
                  stray::on_recv(b, [&](std::optional<int> v) {
                    if (v) {
                      out.send(*v);
                    } else {
                      b = {};
                    }
                  }));
  }
  out.close();
}
//]

//[ close_twice
// One place closes: the one that knows when the last sender is done.
int from_many_senders(int senders) {
  auto values = stray::make_chan<int>();
  stray::wait_group sending;
  for (int i = 0; i < senders; i++) sending.go([values, i] { values.send(i); });
  stray::go([values, &sending] {
    sending.wait();
    values.close();
  });
  int sum = 0;
  for (int v : values) sum += v;
  return sum;
}
//]

//[ send_on_closed
// The receiver stops the sender by a channel of its own; the values' channel stays the sender's to close.
int first_three() {
  auto values = stray::make_chan<int>();
  auto stop = stray::make_chan<void>();
  stray::go([values, stop] {
    for (int i = 1;; i++) {
      bool stopped = false;
      stray::select(stray::on_send(values, i), stray::on_recv(stop, [&] { stopped = true; }));
      if (stopped) return;
    }
  });
  int sum = 0;
  for (int i = 0; i < 3; i++) sum += *values.recv();
  stop.close();
  return sum;
}
//]

//[ select_default
// Waits without burning a processor; `on_default` is for a single try.
int drain_until_quiet(const stray::recv_chan<int>& values) {
  int seen = 0;
  bool quiet = false;
  while (!quiet) {
    stray::select(stray::on_recv(values, [&] { seen++; }),
                  stray::on_timeout(10ms, [&] { quiet = true; }));
  }
  return seen;
}
//]

//[ range
int sum_of(std::vector<int> numbers) {
  auto values = stray::make_chan<int>();
  stray::go([values, numbers = std::move(numbers)] {
    defer done{[&] { values.close(); }};  // ends the range of the receiver
    for (int n : numbers) values.send(n);
  });
  int sum = 0;
  for (int v : values) sum += v;
  return sum;
}
//]

//[ pool
// sync.Pool: a buffered channel as a free list. It keeps what fits and drops the rest.
class buffers {
 public:
  using buffer = std::unique_ptr<std::vector<char>>;
  buffer get() const {
    std::optional<buffer> b;
    return free_.try_recv(b) == stray::chan_status::ok ? std::move(*b)
                                                       : std::make_unique<std::vector<char>>(4096);
  }
  void put(buffer b) const { free_.try_send(std::move(b)); }

 private:
  stray::chan<buffer> free_ = stray::make_chan<buffer>(64);
};
//]

//[ cond
class door {
 public:
  void open() {
    std::lock_guard held(lock_);
    open_ = true;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock held(lock_);
    changed_.wait(held, [this] { return open_; });  // Go's `for !open { cond.Wait() }`
  }

 private:
  stray::mutex lock_;
  stray::condition_variable changed_;
  bool open_ = false;
};
//]

//[ unlock_elsewhere
// A semaphore of one is the lock that another goroutine may unlock.
bool hand_over() {
  stray::semaphore turn(1);
  turn.acquire();
  stray::go([&turn] { turn.release(); });
  return turn.try_acquire_for(10s);
}
//]

//[ maxprocs
int count_on_one_thread(int n) {
  int before = stray::maxprocs(1);
  int counted = 0;
  stray::mutex lock;  // needed with one thread, too: a goroutine in blocking() runs beside it
  stray::wait_group done;
  for (int i = 0; i < n; i++) {
    done.go([&] {
      std::lock_guard held(lock);
      counted++;
    });
  }
  done.wait();
  stray::maxprocs(before);
  return counted;
}
//]

//[ lost_cancel
bool stopped_by_cancel() {
  auto [ctx, cancel] = stray::with_cancel(stray::background());
  stray::wait_group done;
  done.go([c = ctx] { c.done().recv(); });
  cancel();  // dropping it would not cancel
  done.wait();
  return ctx.err() == std::errc::operation_canceled;
}
//]

}  // namespace

int main() {
  auto greetings = stray::make_chan<std::string>();
  greet(greetings);
  expect(greetings.recv() == "hello gopher", "capture");
  expect(sum_of_squares(10) == 285, "loop");
  stray::mutex lock;
  int from = 5, to = 0;
  transfer(lock, from, to, 3);
  try {
    transfer(lock, from, to, 3);
  } catch (const std::runtime_error&) {
    to += 100;
  }
  expect(from == 2 && to == 103, "defer");
  expect(outcome_of(-1) == "negative" && outcome_of(1) == "fine", "panic");
  auto jobs = stray::make_chan<int>(2);
  jobs.send(1);
  jobs.send(2);
  expect(work_for(50ms, jobs) == 2, "context");
  expect(count_to(100) == 100, "wait_group");
  expect(ask(10s) == 42, "answer in time");
  expect(!ask(1ms), "answer too late");

  auto a = stray::make_chan<int>(3), b = stray::make_chan<int>(3), both = stray::make_chan<int>(6);
  for (int i = 0; i < 3; i++) a.send(i), b.send(10 * i);
  a.close();
  b.close();
  merge(a, b, both);
  int sum = 0;
  for (int v : both) sum += v;
  expect(sum == 33, "nil");
  expect(from_many_senders(10) == 45, "close_twice");
  expect(first_three() == 6, "send_on_closed");
  auto three = stray::make_chan<int>(3);
  for (int i = 0; i < 3; i++) three.send(i);
  expect(drain_until_quiet(three) == 3, "select_default");
  expect(sum_of({1, 2, 3}) == 6, "range");
  buffers pool;
  const void* first = nullptr;
  {
    buffers::buffer one = pool.get();
    first = one.get();
    pool.put(std::move(one));
  }
  expect(pool.get().get() == first, "pool");
  door front;
  stray::wait_group guests;
  for (int i = 0; i < 3; i++) guests.go([&front] { front.pass(); });
  front.open();
  guests.wait();
  expect(hand_over(), "unlock_elsewhere");
  expect(count_on_one_thread(100) == 100, "maxprocs");
  expect(stopped_by_cancel(), "lost_cancel");
  expect(porting::leaked(0) == 0, "nothing is leaked");
}
