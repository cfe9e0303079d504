// The wrong halves of docs/porting-from-go.md: the page quotes what lies between the marks
// (tests/lint/quotes.py). main runs those whose end is defined: by a panic, as a leak that the detector
// proves, or as a refusal. The others are undefined behaviour, or end the process, or hang: they are compiled only.
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <stray/stray.hpp>
#include "expect.hpp"

using namespace std::chrono_literals;
using porting::expect;

namespace {

int balance = 0;

//[ capture
void greet(stray::send_chan<std::string> out) {
  std::string name = "gopher";
  stray::go([&] { out.send("hello " + name); });  // both are gone when greet has returned
}
//]

//[ loop
void send_squares(const stray::chan<int>& squares, stray::wait_group& done) {
  for (int i = 0; i < 10; i++) {
    done.go(
        [&] { squares.send(i * i); });  // one i for all, which the loop changes, and which ends with it
  }
}
//]

//[ defer
void withdraw(stray::mutex& lock, int amount) {
  lock.lock();
  if (balance < amount) throw std::runtime_error("not enough");  // the mutex stays locked
  balance -= amount;
  lock.unlock();
}
//]

//[ panic
void try_it() {
  try {
    stray::go(
        [] { throw std::invalid_argument("negative"); });  // ends the process: panic: negative, status 2
  } catch (const std::invalid_argument&) {                 // never: the exception is on another stack
  }
}
//]

//[ context
void work(const stray::recv_chan<int>& jobs, int& done) {
  while (jobs.recv()) done++;  // nothing can stop it but a close
}
//]

//[ wait_group
void count(stray::wait_group& done, int& counted) {
  for (int i = 0; i < 10; i++) {
    stray::go([&] {
      done.add(1);  // wait() may have returned before
      counted++;
      done.done();
    });
  }
  done.wait();
}
//]

//[ answer
std::optional<int> ask(std::chrono::milliseconds patience) {
  auto answer = stray::make_chan<int>();
  stray::go([answer] {
    stray::sleep_for(20ms);
    answer.send(42);  // after a time-out: blocked for ever
  });
  std::optional<int> got;
  stray::select(stray::on_recv(answer, [&](std::optional<int> a) { got = a; }),
                stray::on_timeout(patience));
  return got;
}
//]

//[ nil
void start() {
  stray::chan<int> ready;  // no make_chan: a nil channel
  stray::go([ready] { ready.send(1); });
}
//]

//[ close_twice
void finish(const stray::chan<int>& values) {
  for (int i = 0; i < 2; i++) {
    values
        .close();  // each sender "closes when it is done": the second one panics, "close of closed channel"
  }
}
//]

//[ send_on_closed
void stop_the_sender(const stray::chan<int>& values) {
  values.close();  // by the receiver
  values.send(1);  // by the sender, which does not know: panics, "send on closed channel"
}
//]

//[ select_default
int drain(const stray::recv_chan<int>& values, const stray::recv_chan<void>& stop) {
  int seen = 0;
  for (bool stopped = false; !stopped;) {
    stray::select(stray::on_recv(values, [&] { seen++; }), stray::on_recv(stop, [&] { stopped = true; }),
                  stray::on_default());  // nothing to do: round and round, a whole processor
  }
  return seen;
}
//]

//[ range
void sum_in_background(const std::vector<int>& numbers) {
  auto values = stray::make_chan<int>();
  stray::go([values] {
    int sum = 0;
    for (int v : values) sum += v;  // never ends: no close
    balance = sum;
  });
  for (int n : numbers) values.send(n);
}
//]

//[ pool
std::vector<char>& scratch() {
  thread_local std::vector<char> buffer(4096);
  return buffer;
}
void echo(const stray::chan<int>& ch) {
  std::vector<char>& mine = scratch();
  mine[0] = static_cast<char>(*ch.recv());  // another goroutine of this thread uses it meanwhile
  ch.send(mine[0]);
}
//]

//[ cond
void pass(stray::mutex& lock, stray::condition_variable& changed) {
  std::unique_lock held(lock);
  changed.wait(held);  // it may have been open already, and a wake may be spurious
}
//]

//[ unlock_elsewhere
void hand_over(stray::mutex& turn) {
  turn.lock();
  stray::go([&turn] {
    turn.unlock();
  });  // ends the process: unlock by a goroutine that does not hold the mutex
}
//]

//[ maxprocs
void count_on_one_thread(stray::wait_group& done, std::atomic<int>& counted) {
  stray::maxprocs(1);
  for (int i = 0; i < 10; i++) {
    done.go([&] {
      int now = counted;
      stray::yield();
      counted = now + 1;  // lost updates: another goroutine ran in between
    });
  }
}
//]

//[ lost_cancel
void start_worker() {
  stray::context ctx = stray::with_cancel(stray::background()).ctx;  // the cancel_func is dropped
  stray::go([ctx] { ctx.done().recv(); });
}
//]

// Not run, but kept.
[[maybe_unused]] void* const only_compiled[] = {
    reinterpret_cast<void*>(&greet),  reinterpret_cast<void*>(&send_squares),
    reinterpret_cast<void*>(&try_it), reinterpret_cast<void*>(&count),
    reinterpret_cast<void*>(&echo),   reinterpret_cast<void*>(&pass),
    reinterpret_cast<void*>(&drain),  reinterpret_cast<void*>(&hand_over),
    reinterpret_cast<void*>(&work),
};

[[gnu::noinline]] void leak_by_timeout() { expect(!ask(1ms), "it comes too late"); }

}  // namespace

int main() {
  stray::mutex lock;
  try {
    withdraw(lock, 1);
  } catch (const std::runtime_error&) {
  }
  expect(!lock.try_lock(), "defer: still locked");
  lock.unlock();

  porting::expect_panic([] { finish(stray::make_chan<int>()); }, "close of closed channel");
  porting::expect_panic([] { stop_the_sender(stray::make_chan<int>(1)); }, "send on closed channel");

  std::atomic<int> counted{0};
  stray::wait_group all;
  int before = stray::maxprocs(1);
  all.go(
      [&] {  // from a goroutine with the only permit, so that they all are there before the first one yields
        stray::wait_group done;
        count_on_one_thread(done, counted);
        done.wait();
      });
  all.wait();
  stray::maxprocs(before);
  expect(counted < 10, "maxprocs: updates are lost");

  leak_by_timeout();
  stray::sleep_for(100ms);
  start();
  sum_in_background({1, 2, 3});
  start_worker();
  stray::testing::until_parked(4);
  expect(porting::leaked(4) == 4, "answer, nil, range and lost_cancel are leaked");
}
