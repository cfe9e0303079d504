// go: every kind of closure runs once and is destroyed once; what cannot be copied starts nothing; what leaves a goroutine ends the process.
#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <gtest/gtest.h>
#include <malloc.h>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <stray/go.hpp>
#include "base/arch.h"
#include "runtime/task.h"
#include "runtime/test_waits.h"

namespace stray::runtime {
namespace {

// Counts its instances and its moves.
struct counted {
  static inline std::atomic<int> live{0}, calls{0};
  std::array<std::uintptr_t, 2> payload{7, 9};
  counted() { live++; }
  counted(const counted& other) : payload(other.payload) { live++; }
  counted(counted&& other) noexcept : payload(std::exchange(other.payload, {})) { live++; }
  ~counted() { live--; }
  void operator()() const { calls += payload[0] == 7 && payload[1] == 9; }
};

class closure : public testing::Test {
 protected:
  void SetUp() override { counted::calls = 0; }
  void TearDown() override {
    all_ended();
    until([] { return counted::live == 0; });
  }
};

TEST_F(closure, small_is_run_and_destroyed_once) {
  counted c;
  for (int i = 0; i < 100; i++) go(c);
  until([] { return counted::calls == 100 && counted::live == 1; });
  all_ended();
}

TEST_F(closure, large_is_run_and_destroyed_once) {
  struct large : counted {
    char rest[5000] = {};
  };
  static_assert(!detail::is_small<large>);
  for (int i = 0; i < 100; i++) go(large());
  until([] { return counted::calls == 100 && counted::live == 0; });
  all_ended();
}

TEST_F(closure, over_aligned_lies_aligned) {
  struct alignas(256) over : counted {
    void operator()() const { calls += reinterpret_cast<std::uintptr_t>(this) % 256 == 0; }
  };
  for (int i = 0; i < 100; i++) go(over());
  until([] { return counted::calls == 100 && counted::live == 0; });
  all_ended();
}

TEST_F(closure, of_just_the_small_size_and_alignment) {
  struct exact : counted {
    alignas(16) char rest[detail::small_closure - 16] = {};
    void operator()() const { calls += reinterpret_cast<std::uintptr_t>(this) % 16 == 0; }
  };
  static_assert(sizeof(exact) == detail::small_closure && detail::is_small<exact>);
  for (int i = 0; i < 100; i++) go(exact());
  until([] { return counted::calls == 100 && counted::live == 0; });
  all_ended();
}

TEST_F(closure, may_be_move_only) {
  std::atomic<int> sum{0};
  auto p = std::make_unique<int>(41);
  go([p = std::move(p), &sum] { sum += *p + 1; });
  go([&sum](std::unique_ptr<int> q, const std::string& s) { sum += *q + static_cast<int>(s.size()); },
     std::make_unique<int>(100), "four");
  until([&] { return sum == 146; });
  all_ended();
}

TEST_F(closure, arguments_are_copied_and_passed_as_rvalues) {
  std::atomic<int> ok{0};
  std::string text = "text long enough to lie on the heap";
  int array[3] = {1, 2, 3};
  go(
      [&ok](std::string a, std::string&& b, const int* p, int& r) {
        r = 5;
        ok = a == b && p[2] == 3 ? 1 : -1;
      },
      text, text, array, std::ref(array[0]));
  until([&] { return ok != 0; });
  EXPECT_EQ(ok, 1);
  EXPECT_EQ(array[0], 5);
  EXPECT_FALSE(text.empty());
  all_ended();
}

TEST_F(closure, function_pointers_and_members_of_objects_work) {
  static std::atomic<int> hits{0};
  hits = 0;
  struct object {
    void hit() { hits++; }
  } o;
  go(+[] { hits++; });
  go(&object::hit, &o);
  go({.name = "named"}, [] { hits++; });
  until([] { return hits == 3; });
  all_ended();
}

TEST_F(closure, may_start_others_and_end_before_them) {
  std::atomic<int> n{0};
  go([&] {
    for (int i = 0; i < 10; i++) {
      go([&, c = counted()] {
        for (int k = 0; k < 10; k++) go([&] { n++; });
        c();
      });
    }
  });
  until([&] { return n == 100; });
  all_ended();
}

// A copy that throws: nothing was started, and the storage is given back.
template <std::size_t Bytes, std::size_t Align>
struct throws_on_copy {
  alignas(Align) char payload[Bytes] = {};
  throws_on_copy() = default;
  throws_on_copy(const throws_on_copy&) { throw std::runtime_error("copy"); }
  void operator()() const {}
};
template <class C>
void starts_nothing() {
  C c;
  EXPECT_THROW(go(c), std::runtime_error);
  all_ended();
  std::size_t records = tasks().used(), bytes = mallinfo2().uordblks;
  int caught = 0;
  for (int i = 0; i < 1000; i++) {
    try {
      go(c);
    } catch (const std::runtime_error&) {
      caught++;
    }
  }
  EXPECT_EQ(caught, 1000);
  EXPECT_EQ(num_goroutine(), 0u);
  EXPECT_LE(tasks().used(), records + 1);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // Blocks in malloc's thread caches count as in use: some 8 KB.
  EXPECT_LT(mallinfo2().uordblks, bytes + 1000 * sizeof(C) / 2 + 32 * 1024);
#else
  (void)bytes;
#endif
}
TEST_F(closure, that_throws_on_copy_starts_nothing_small) { starts_nothing<throws_on_copy<8, 8>>(); }
TEST_F(closure, that_throws_on_copy_starts_nothing_large) { starts_nothing<throws_on_copy<4000, 8>>(); }
TEST_F(closure, that_throws_on_copy_starts_nothing_over_aligned) { starts_nothing<throws_on_copy<128, 128>>(); }
TEST_F(closure, that_throws_on_copy_starts_nothing_on_a_goroutine) {
  std::atomic<int> caught{0};
  go([&] {
    throws_on_copy<4000, 8> c;
    for (int i = 0; i < 100; i++) {
      try {
        go(c);
      } catch (const std::runtime_error&) {
        caught++;
      }
    }
  });
  until([&] { return caught == 100; });
  all_ended();
}

TEST(goroutine_id, is_unique_on_goroutines_and_0_on_threads) {
  constexpr int n = 1000;
  EXPECT_EQ(goroutine_id(), 0u);
  std::vector<std::atomic<std::uint64_t>> ids(n);
  std::atomic<int> moved{0};
  for (std::size_t i = 0; i < n; i++) {
    go([&, i] {
      std::uint64_t id = goroutine_id();
      yield();
      moved += goroutine_id() != id;
      ids[i] = id;
    });
  }
  all_ended();
  std::set<std::uint64_t> seen;
  for (auto& id : ids) seen.insert(id.load());
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(n));
  EXPECT_FALSE(seen.contains(0));
  EXPECT_EQ(moved, 0);
  std::uint64_t on_thread = 1;
  std::thread([&] { on_thread = goroutine_id(); }).join();
  EXPECT_EQ(on_thread, 0u);
  all_ended();
}

// On one worker.
class order_of_start : public testing::Test {
 protected:
  void SetUp() override { before_ = maxprocs(1); }
  void TearDown() override {
    all_ended();
    maxprocs(before_);
  }

 private:
  int before_ = 0;
};

TEST_F(order_of_start, the_last_one_runs_next_the_others_in_their_order) {
  std::vector<int> ran;
  std::atomic<bool> done{false};
  go([&] {
    for (int i = 0; i < 5; i++) go([&ran, i] { ran.push_back(i); });
    while (ran.size() < 5) yield();
    done = true;
  });
  until([&] { return done.load(); });
  EXPECT_EQ(ran, (std::vector<int>{4, 0, 1, 2, 3}));
}

#if !defined(STRAY_ASAN) && !defined(STRAY_TSAN)  // there each has a stack of its own
[[gnu::noinline]] void write_below(volatile unsigned char* here) {
  volatile unsigned char frame[1024];
  for (volatile unsigned char& byte : frame) byte = 0xa5;
  asm volatile("" : : "r"(here), "r"(frame) : "memory");
}
[[gnu::noinline]] std::size_t written_below(const volatile unsigned char* here) {
  std::size_t n = 0;
  for (std::size_t i = 300; i < 1000; i++) n += here[-static_cast<std::ptrdiff_t>(i)] == 0xa5;
  return n;
}

TEST_F(order_of_start, the_next_one_inherits_the_stack_but_nothing_on_it) {
  std::atomic<const volatile void*> first{nullptr}, second{nullptr};
  std::atomic<std::size_t> written{0}, inherited{1};
  std::atomic<bool> done{false};
  go([&] {
    go([&] {
      volatile unsigned char here = 0;
      inherited = written_below(&here);
      second = &here;
      done = true;
    });
    go([&] {  // runs first
      volatile unsigned char here = 0;
      write_below(&here);
      written = written_below(&here);
      first = &here;
    });
  });
  until([&] { return done.load(); });
  EXPECT_GT(written, 500u) << "the test itself sees what is left there";
  EXPECT_EQ(inherited, 0u);
  auto distance = reinterpret_cast<std::intptr_t>(first.load()) - reinterpret_cast<std::intptr_t>(second.load());
  EXPECT_LT(std::abs(distance), 4096) << "the same stack";
}
#endif

TEST(num_goroutine, counts_those_that_exist) {
  all_ended();
  std::atomic<bool> go_on{false};
  std::atomic<int> seen_inside{0};
  for (int i = 0; i < 50; i++) {
    go([&] {
      if (num_goroutine() >= 1) seen_inside++;
      until([&] { return go_on.load(); });
    });
  }
  EXPECT_EQ(num_goroutine(), 50u);
  go_on = true;
  all_ended();
  EXPECT_EQ(seen_inside, 50);
}

TEST(num_goroutine, counts_goroutines_started_by_threads_and_goroutines) {
  std::atomic<bool> go_on{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++) {
    threads.emplace_back([&] {
      go([&] {
        go([&] { until([&] { return go_on.load(); }); });
        until([&] { return go_on.load(); });
      });
    });
  }
  for (std::thread& t : threads) t.join();
  until([] { return num_goroutine() == 6; });
  go_on = true;
  all_ended();
}

[[gnu::noinline]] void raise(const char* text) {
  yield();
  throw std::out_of_range(text);
}
void wait_for_ever() {
  until([] { return false; });
}
template <class F>
void end_by(F f) {
  go([f] { f(); });
  wait_for_ever();
}

TEST(panic, an_exception_that_leaves_a_goroutine_ends_the_process_with_2) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(end_by([] { throw std::runtime_error("the reason"); }), testing::ExitedWithCode(2), "^panic: the reason\n");
  EXPECT_EXIT(end_by([] { throw "a literal"; }), testing::ExitedWithCode(2), "^panic: a literal\n");
  EXPECT_EXIT(end_by([] { throw std::pair<int, long>(1, 2); }), testing::ExitedWithCode(2),
              "^panic: an exception of type std::pair<int, long>\n");
  EXPECT_EXIT(end_by([] { std::terminate(); }), testing::ExitedWithCode(2), "^panic: std::terminate without an exception\n");
  EXPECT_EXIT(end_by([]() noexcept { raise("in noexcept"); }), testing::ExitedWithCode(2), "^panic: in noexcept\n");
}

TEST(panic, one_on_a_plain_thread_is_not_ours) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  auto on_thread = [] {
    maxprocs();
    std::thread([] { throw std::runtime_error("on a thread"); }).join();
  };
  EXPECT_EXIT(on_thread(), testing::KilledBySignal(SIGABRT), "terminate called.*\n.*on a thread");
  auto handler_before = [] {
    std::set_terminate([] { _exit(7); });
    maxprocs();
    std::thread([] { throw std::runtime_error("on a thread"); }).join();
  };
  EXPECT_EXIT(handler_before(), testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace stray::runtime
