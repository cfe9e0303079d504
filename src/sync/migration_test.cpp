// What moves with a goroutine to another thread, and what stays with the thread: exceptions move; errno and thread_local stay.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>

#include <stray/chan.hpp>
#include <stray/go.hpp>
#include "base/syscalls.h"

namespace stray::sync {
namespace {

using namespace std::chrono_literals;

thread_local int of_thread = 0;

// Not inlined, and opaque: compilers keep the address of a thread_local, and take errno's for constant.
[[gnu::noinline]] int& thread_local_here() {
  asm volatile("");
  return of_thread;
}
[[gnu::noinline]] int* errno_here() {
  asm volatile("");
  return &errno;
}

// Parks until it comes back on another thread.
[[gnu::noinline]] void move() {
  int before = base::sys::gettid();
  while (base::sys::gettid() == before) sleep_for(20us);
}

// Two workers, and one goroutine that keeps them apart: without it one worker could do it all.
class migration : public testing::Test {
 protected:
  void SetUp() override {
    before_ = maxprocs(2);
    go([this] {
      while (!over_) yield();
      ended_.send(0);
    });
  }
  void TearDown() override {
    over_ = true;
    ended_.recv();
    while (num_goroutine() != 0) yield();
    maxprocs(before_);
  }
  // Runs f on goroutines and waits for them.
  template <class F>
  static void on_goroutines(int n, F f) {
    auto ended = make_chan<int>(static_cast<std::size_t>(n));
    for (int g = 0; g < n; g++) {
      go([=] {
        f(g);
        ended.send(g);
      });
    }
    for (int g = 0; g < n; g++) ended.recv();
  }

 private:
  int before_ = 1;
  std::atomic<bool> over_{false};
  chan<int> ended_ = make_chan<int>();
};

struct counted {
  static inline std::atomic<int> alive{0};
  std::string text;
  explicit counted(std::string t) : text(std::move(t)) { alive++; }
  counted(const counted& other) : text(other.text) { alive++; }
  ~counted() { alive--; }
};

struct moves_in_destructor {
  int expected = std::uncaught_exceptions() + 1;
  ~moves_in_destructor() {
    EXPECT_EQ(std::uncaught_exceptions(), expected);
    move();
    EXPECT_EQ(std::uncaught_exceptions(), expected);
    try {  // one more, and over, while the other is in flight
      moves_quietly inner;
      throw counted("inner");
    } catch (const counted& e) {
      move();
      EXPECT_EQ(e.text, "inner");
    }
    EXPECT_EQ(std::uncaught_exceptions(), expected);
  }
  struct moves_quietly {
    ~moves_quietly() { move(); }
  };
};

[[gnu::noinline]] void moves_then_throws(int depth, const std::string& text) {
  moves_in_destructor::moves_quietly at_end;
  move();
  if (depth == 0) throw counted(text);
  moves_then_throws(depth - 1, text);
}

TEST_F(migration, an_exception_in_flight_moves) {
  on_goroutines(4, [](int g) {
    std::string mine = "goroutine " + std::to_string(g);
    try {
      moves_in_destructor guard;
      throw counted(mine);
    } catch (const counted& e) {
      EXPECT_EQ(std::uncaught_exceptions(), 0);
      EXPECT_EQ(e.text, mine);
    }
    EXPECT_EQ(std::current_exception(), nullptr);
  });
  EXPECT_EQ(counted::alive, 0);
}

TEST_F(migration, an_exception_passes_frames_that_were_entered_on_other_threads) {
  on_goroutines(4, [](int g) {
    std::string mine = "goroutine " + std::to_string(g);
    for (int depth = 0; depth < 4; depth++) EXPECT_THROW(moves_then_throws(depth, mine), counted);
    EXPECT_EQ(std::uncaught_exceptions(), 0);
  });
  EXPECT_EQ(counted::alive, 0);
}

TEST_F(migration, a_caught_exception_moves_and_is_thrown_again) {
  on_goroutines(4, [](int g) {
    std::string mine = "goroutine " + std::to_string(g);
    const void* object = nullptr;
    try {
      try {
        moves_then_throws(1, mine);
      } catch (counted& e) {
        object = &e;
        move();
        EXPECT_EQ(e.text, mine);
        throw;
      }
    } catch (const counted& again) {
      move();
      EXPECT_EQ(&again, object) << "the same object, not a copy";
      EXPECT_EQ(again.text, mine);
    }
    EXPECT_EQ(std::current_exception(), nullptr);
  });
  EXPECT_EQ(counted::alive, 0);
}

TEST_F(migration, nested_exceptions_move) {
  on_goroutines(4, [](int g) {
    std::string mine = "goroutine " + std::to_string(g);
    try {
      try {
        moves_then_throws(0, mine);
      } catch (const counted&) {
        move();
        std::throw_with_nested(std::runtime_error("outer of " + mine));
      }
    } catch (const std::runtime_error& outer) {
      move();
      EXPECT_EQ(outer.what(), "outer of " + mine);
      try {
        std::rethrow_if_nested(outer);
        ADD_FAILURE() << "nothing was nested";
      } catch (const counted& inner) {
        move();
        EXPECT_EQ(inner.text, mine);
      }
    }
  });
  EXPECT_EQ(counted::alive, 0);
}

TEST_F(migration, an_exception_is_thrown_again_on_another_goroutine_while_its_own_still_handles_it) {
  auto errors = make_chan<std::exception_ptr>();
  auto seen = make_chan<const void*>();
  auto ended = make_chan<int>();
  go([=] {
    for (const std::exception_ptr& error : errors) {
      try {
        moves_in_destructor guard;
        std::rethrow_exception(error);
      } catch (const counted& e) {
        move();
        EXPECT_EQ(e.text, "shared");
        seen.send(&e);
      }
    }
    ended.send(1);
  });
  go([=] {
    for (int i = 0; i < 5; i++) {
      try {
        moves_then_throws(1, "shared");
      } catch (const counted& e) {
        errors.send(std::current_exception());
        EXPECT_EQ(*seen.recv(), &e);
        move();
        EXPECT_EQ(e.text, "shared");
      }
    }
    errors.close();
    ended.send(1);
  });
  EXPECT_EQ(ended.recv(), 1);
  EXPECT_EQ(ended.recv(), 1);  // both: the other one lets go of the last exception later
  EXPECT_EQ(counted::alive, 0);
}

TEST_F(migration, thread_locals_and_errno_stay_with_the_thread) {
  on_goroutines(1, [](int) {
    int& mine = thread_local_here();
    int* my_errno = errno_here();
    mine = 7;
    move();
    EXPECT_NE(&thread_local_here(), &mine) << "another thread's variable";
    EXPECT_NE(errno_here(), my_errno);
    EXPECT_EQ(mine, 7) << "the old one is where it was";
    mine = 0;
  });
}

TEST_F(migration, a_goroutine_locked_to_its_thread_keeps_both) {
  on_goroutines(3, [](int g) {
    lock_os_thread();
    int& mine = thread_local_here();
    int* my_errno = errno_here();
    mine = g + 1;
    for (int i = 0; i < 50; i++) {
      sleep_for(20us);
      yield();
      EXPECT_EQ(&thread_local_here(), &mine);
      EXPECT_EQ(errno_here(), my_errno);
      EXPECT_EQ(mine, g + 1) << "nobody else runs on that thread";
    }
    mine = 0;
    unlock_os_thread();
  });
}

// Vector registers, of any width: what one goroutine has left there would count as a pointer of the next one.
TEST(registers, of_one_goroutine_are_not_seen_by_the_next) {
  constexpr std::uint64_t pattern = 0x7a5a'1234'7a5a'5678;
  const bool wide = __builtin_cpu_supports("avx512vl");
  maxprocs(1);
  std::atomic<bool> over{false};
  int seen = 0;
  std::atomic<int> looks{0};
  auto done = make_chan<int>(2);
  go([&] {
    while (!over) {
      asm volatile("movq %0, %%xmm9; movq %0, %%xmm2" : : "r"(pattern) : "xmm9", "xmm2");
      if (wide) asm volatile("vmovq %0, %%xmm21" : : "r"(pattern));
      yield();
    }
    done.send(1);
  });
  go([&] {
    while (looks < 100) {
      yield();
      std::uint64_t nine, two, twenty = 0;
      asm volatile("movq %%xmm9, %0; movq %%xmm2, %1" : "=r"(nine), "=r"(two));
      if (wide) asm volatile("vmovq %%xmm21, %0" : "=r"(twenty));
      seen += nine == pattern || two == pattern || twenty == pattern;
      looks++;
    }
    over = true;
    done.send(1);
  });
  done.recv();
  done.recv();
  EXPECT_EQ(seen, 0);
}

}  // namespace
}  // namespace stray::sync
