// leak::why: one test for each kind of root and of step.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace why_test {

using namespace std::chrono_literals;
using stray::leak::why;

stray::chan<int> a_global;
stray::mutex a_mutex;
stray::wait_group a_group;
thread_local stray::chan<int> in_tls;

struct box {
  stray::chan<int> ch;
};
std::unique_ptr<std::unique_ptr<box>> a_path;

}  // namespace why_test

namespace {

using namespace why_test;

struct channels {
  stray::chan<int> keep;  // whoever holds it can wake the goroutine
  std::uint64_t id;
};

// A goroutine that receives; it holds only what cannot wake it.
[[gnu::noinline]] channels receiver() {
  auto ch = stray::make_chan<int>();
  auto id = stray::make_chan<std::uint64_t>(1);
  stray::go([rx = stray::recv_chan<int>(ch), id] {
    id.send(stray::goroutine_id());
    rx.recv();
  });
  channels c{std::move(ch), *id.recv()};
  return c;
}

// The answer once it is blocked.
std::string settled(std::uint64_t id) {
  for (;;) {
    std::string text = why(id);
    if (text.find("is running") == std::string::npos && text.find("about to run") == std::string::npos &&
        text.find("been woken") == std::string::npos) {
      return text;
    }
    stray::yield();
  }
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << "no \"" << (part) << "\" in:\n" << (text)

TEST(why, global) {
  std::uint64_t id;
  {
    channels c = receiver();
    id = c.id;
    a_global = std::move(c.keep);
  }
  std::string text = settled(id);
  EXPECT_HAS(text, "goroutine " + std::to_string(id) + " is alive, blocked in ");
  EXPECT_HAS(text, "    global why_test::a_global\n    -> a handle of the channel made at ");
  EXPECT_HAS(text, "why_test.cpp:");
  EXPECT_HAS(text, "    -> goroutine " + std::to_string(id) + "\n");
  a_global.send(1);
  a_global = {};
}

TEST(why, blocks) {
  std::uint64_t id;
  {
    channels c = receiver();
    id = c.id;
    a_path = std::make_unique<std::unique_ptr<box>>(std::make_unique<box>(box{std::move(c.keep)}));
  }
  std::string text = settled(id);
  EXPECT_HAS(text, "    global why_test::a_path\n    -> block of ");
  std::size_t first = text.find("-> block of"), second = text.find("-> block of", first + 1);
  EXPECT_NE(second, std::string::npos) << text;
  EXPECT_LT(second, text.find("-> a handle of the channel")) << text;
  (*a_path)->ch.send(1);
  a_path.reset();
}

TEST(why, a_long_list_is_cut_in_the_middle) {
  static std::unique_ptr<std::list<box>> long_list;
  std::uint64_t id;
  {
    channels c = receiver();
    id = c.id;
    long_list = std::make_unique<std::list<box>>(1000);
    for (auto at = long_list->begin(); at != long_list->end(); ++at) {
      if (std::distance(long_list->begin(), at) == 500) at->ch = std::move(c.keep);
    }
  }
  std::string text = settled(id);
  EXPECT_HAS(text, "is alive");
  EXPECT_HAS(text, " more\n    -> block of ");
  EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 90);
  for (box& b : *long_list) {
    if (b.ch) b.ch.send(1);
  }
  long_list.reset();
}

TEST(why, over_another_blocked_goroutine) {
  auto ids = stray::make_chan<std::uint64_t>(1);
  std::uint64_t middle, last;
  {
    channels c = receiver();
    last = c.id;
    auto outer = stray::make_chan<int>();
    stray::go([rx = stray::recv_chan<int>(outer), tx = std::move(c.keep), ids]() mutable {
      ids.send(stray::goroutine_id());
      rx.recv();
      tx.send(1);
    });
    middle = *ids.recv();
    a_global = std::move(outer);
  }
  std::string text = settled(last);
  EXPECT_HAS(text, "    global why_test::a_global\n");
  EXPECT_HAS(text, "    -> stack of goroutine " + std::to_string(middle) + " (");
  EXPECT_HAS(text, "    -> goroutine " + std::to_string(last) + "\n");
  a_global.send(1);
  a_global = {};
}

TEST(why, lock) {
  a_mutex.lock();
  auto ids = stray::make_chan<std::uint64_t>(1);
  stray::go([ids] {
    ids.send(stray::goroutine_id());
    std::lock_guard held(a_mutex);
  });
  std::uint64_t id = *ids.recv();
  std::string text = settled(id);
  EXPECT_HAS(text, ", which runs or will by itself\n");
  EXPECT_HAS(text, ", which holds the lock\n    -> goroutine " + std::to_string(id) + "\n");
  a_mutex.unlock();
}

TEST(why, primitive) {
  a_group.add(1);
  auto ids = stray::make_chan<std::uint64_t>(1);
  stray::go([ids] {
    ids.send(stray::goroutine_id());
    a_group.wait();
  });
  std::string text = settled(*ids.recv());
  EXPECT_HAS(text, "    global why_test::a_group");
  EXPECT_HAS(text, "    -> the primitive that the next one waits on, why_test::a_group");
  a_group.done();
}

TEST(why, timer) {
  stray::testing::fake_clock clock;
  auto ids = stray::make_chan<std::uint64_t>(1);
  stray::go([ids] {
    auto due = stray::after(1h);
    ids.send(stray::goroutine_id());
    due.recv();
  });
  std::string text = settled(*ids.recv());
  EXPECT_HAS(text, "    a pending timer, ticker, after_func or deadline, at 0x");
  clock.advance(1h);
}

TEST(why, add_root) {
  // Pages of our own that the tracer would scan anyway hide nothing: the masked pointer's block is reached from the range alone.
  alignas(16) static unsigned char range[64];
  std::uint64_t id;
  {
    channels c = receiver();
    id = c.id;
    new (range) box{std::move(c.keep)};
  }
  auto root = stray::leak::add_root(range, sizeof range);
  EXPECT_HAS(settled(id), "a range given to add_root, at 0x");
  auto* b = std::launder(reinterpret_cast<box*>(range));
  b->ch.send(1);
  b->~box();
}

// A thread that holds the channel where `keep` puts it, asleep in a system call.
void with_thread(const std::function<void(stray::chan<int>&& ch, const std::function<void()>& wait)>& keep,
                 const std::function<void(const std::string&, int)>& look) {
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  std::atomic<int> tid{0};
  channels c = receiver();
  std::thread holder([&, ch = std::move(c.keep)]() mutable {
    keep(std::move(ch), [&] {
      tid = gettid();
      char byte;
      while (read(fds[0], &byte, 1) < 0) {
      }
    });
  });
  while (tid == 0) std::this_thread::yield();
  look(settled(c.id), tid);
  ASSERT_EQ(write(fds[1], "", 1), 1);
  holder.join();
  close(fds[0]);
  close(fds[1]);
}

TEST(why, thread_stack) {
  with_thread(
      [](stray::chan<int>&& ch, const std::function<void()>& wait) {
        stray::chan<int> here = std::move(ch);
        wait();
        here.send(1);
      },
      [](const std::string& text, int tid) { EXPECT_HAS(text, "    stack of thread " + std::to_string(tid) + " ("); });
}

// Its stack is no root: it counts because somebody can wake the thread.
TEST(why, over_the_stack_of_a_blocked_thread) {
  stray::chan<int> wake = stray::make_chan<int>();
  std::atomic<std::uint64_t> id{0};
  std::thread holder([&id, rx = stray::recv_chan<int>(wake)] {
    channels c = receiver();
    id = c.id;
    rx.recv();
    c.keep.send(1);
  });
  while (id == 0) stray::yield();
  a_global = std::move(wake);
  std::string text;
  do text = settled(id);  // until the thread has blocked
  while (text.find("global why_test::a_global\n    -> a handle of the channel") == std::string::npos);
  std::size_t stack = text.find("\n    -> stack of thread ");
  EXPECT_NE(stack, std::string::npos) << text;
  EXPECT_NE(text.find("-> a handle of the channel", stack), std::string::npos) << text;
  a_global.close();
  a_global = {};
  holder.join();
}

TEST(why, thread_local_storage) {
  with_thread(
      [](stray::chan<int>&& ch, const std::function<void()>& wait) {
        in_tls = std::move(ch);
        wait();
        in_tls.send(1);
      },
      [](const std::string& text, int tid) {
        EXPECT_HAS(text, "    thread-local storage of thread " + std::to_string(tid) + " (");
      });
}

TEST(why, leaked) {
  std::uint64_t id;
  {
    channels c = receiver();
    id = c.id;
  }
  EXPECT_HAS(settled(id), "goroutine " + std::to_string(id) + " is leaked (proven): nothing alive holds a handle");
}

TEST(why, nobody) {
  stray::go([] {});
  EXPECT_EQ(why(123456789), "there is no goroutine 123456789: it has ended, or never was\n");
}

TEST(why, running) {
  auto text = stray::make_chan<std::string>(1);
  stray::go([text] { text.send(why(stray::goroutine_id())); });
  EXPECT_HAS(*text.recv(), "is running\n");
}

TEST(why, sleeping) {
  stray::testing::fake_clock clock;
  auto ids = stray::make_chan<std::uint64_t>(1);
  stray::go([ids] {
    ids.send(stray::goroutine_id());
    stray::sleep_for(1h);
  });
  EXPECT_HAS(settled(*ids.recv()), "waits for what ends by itself [sleep]\n");
  clock.advance(1h);
}

}  // namespace
