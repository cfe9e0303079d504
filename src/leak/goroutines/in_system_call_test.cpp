// A goroutine that holds its worker in std::mutex, std::future or a system call is shown with the call, its thread and its stack.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <unistd.h>

#include <stray/stray.hpp>
#include "leak/goroutines/dump.h"
#include "leak/model/findings.h"
#include "profile/symbolize.h"

namespace {

using stray::profile::stack_entry;

bool shows(const stack_entry& e, std::string_view function) {
  for (std::uintptr_t pc : e.pcs) {
    for (const auto& line : stray::profile::symbolize(pc - 1)) {
      if (line.function.find(function) != std::string::npos) return true;
    }
  }
  return false;
}

// The entry of the goroutine once it sleeps in the kernel.
stack_entry when_asleep(std::uint64_t id) {
  for (int i = 0; i < 5000; i++) {
    for (const stack_entry& e : stray::leak::all_stacks(nullptr, false)) {
      if (e.id == id && e.thread_name.empty() && e.state != "running" && e.state != "runnable") return e;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {};
}

void expect_shown(const std::function<void()>& sleep, const std::function<void()>& wake, const std::string& state,
                  std::string_view function) {
  std::atomic<std::uint64_t> id{0};
  stray::wait_group done;
  done.go([&] {
    id = stray::goroutine_id();
    sleep();
  });
  while (id == 0) std::this_thread::yield();
  const stack_entry e = when_asleep(id);
  wake();
  done.wait();
  EXPECT_EQ(e.state.rfind(state + ", thread ", 0), 0u) << e.state;
  EXPECT_TRUE(shows(e, function)) << e.pcs.size() << " frames";
}

std::mutex locked;
[[gnu::noinline]] void waits_for_a_mutex() {
  std::lock_guard guard(locked);
  asm volatile("");
}
TEST(in_system_call, mutex) {
  locked.lock();
  expect_shown(
      waits_for_a_mutex, [] { locked.unlock(); }, "syscall futex", "waits_for_a_mutex");
}

#ifdef __clang__
#define STRAY_UNOPTIMISED [[clang::optnone]]
#else
#define STRAY_UNOPTIMISED [[gnu::optimize("no-omit-frame-pointer", "O0")]]
#endif

// Nobody below has saved its frame pointer.
STRAY_UNOPTIMISED [[gnu::noinline]] void waits_with_a_frame_pointer() {
  locked.lock();
  locked.unlock();
}
TEST(in_system_call, mutex_of_a_function_with_a_frame_pointer) {
  locked.lock();
  expect_shown(
      [] {
        waits_with_a_frame_pointer();
        asm volatile("");
      },
      [] { locked.unlock(); }, "syscall futex", "waits_with_a_frame_pointer");
}

TEST(in_system_call, future) {
  std::promise<int> p;
  std::future<int> f = p.get_future();
  expect_shown([&] { f.get(); }, [&] { p.set_value(1); }, "syscall futex", "in_system_call_future_Test");
}

TEST(in_system_call, read_of_a_pipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  expect_shown(
      [&] {
        char c;
        EXPECT_EQ(read(ends[0], &c, 1), 1);
      },
      [&] { EXPECT_EQ(write(ends[1], "x", 1), 1); }, "syscall read", "in_system_call_read_of_a_pipe_Test");
  close(ends[0]);
  close(ends[1]);
}

TEST(in_system_call, who_computes_runs) {
  std::atomic<bool> quit{false};
  std::atomic<std::uint64_t> id{0};
  stray::wait_group done;
  done.go([&] {
    id = stray::goroutine_id();
    while (!quit) {
    }
  });
  while (id == 0) std::this_thread::yield();
  for (int i = 0; i < 10; i++) {
    for (const stack_entry& e : stray::leak::all_stacks(nullptr, false)) {
      if (e.id != id || !e.thread_name.empty()) continue;
      EXPECT_EQ(e.state, "running");
      EXPECT_EQ(e.no_stack, "goroutine running on other thread; stack unavailable");
    }
  }
  quit = true;
  done.wait();
}

}  // namespace
