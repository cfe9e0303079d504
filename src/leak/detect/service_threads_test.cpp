// What a thread of the library had in its registers before it went to sleep keeps nobody alive.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "base/sync_shim.h"
#include "runtime/timer.h"
#include "runtime/watcher.h"

namespace {

using namespace std::chrono_literals;
namespace rt = stray::runtime;

std::atomic<std::uintptr_t> complement{0};  // of the primitive's address, which lies nowhere else
std::atomic<int> fired_by{0};

void leave_it_in_registers(rt::timer_entry* e, std::uint64_t seq, std::int64_t) noexcept {
  if (!rt::take_due(e, seq)) return;
  const std::uintptr_t hidden = complement.load();
  asm volatile(
      "mov %0, %%rax; not %%rax; movq %%rax, %%xmm8; movdqa %%xmm8, %%xmm9; movdqa %%xmm8, %%xmm12; movdqa %%xmm8, %%xmm15; "
      "xor %%eax, %%eax"
      :
      : "r"(hidden)
      : "rax");  // and no clobber of the vector registers: this is what the test leaves behind
  fired_by.store(stray::base::thread_id());
}

// The watcher fires timers while every worker is busy.
void let_the_watcher_fire(rt::timer_entry* e) {
  std::atomic<bool> done{false};
  stray::wait_group busy;
  busy.go([&] {
    rt::arm_callback(e, rt::timer_after_ns(1'000'000));
    while (fired_by.load() == 0) {
    }
    done.store(true);
  });
  busy.wait();
}

TEST(service_threads, registers_of_the_watcher_are_nobodys) {
  const int before = stray::maxprocs(1);
  {
    auto ch = stray::make_chan<int>();
    std::uintptr_t core = 0;
    std::memcpy(&core, &ch, sizeof core);
    complement.store(~core);
    core = 0;
    stray::go([ch] { ch.recv(); });
  }
  stray::testing::until_parked(1);
  auto entry = std::make_unique<rt::timer_entry>();
  entry->fire = leave_it_in_registers;
  for (int i = 0; i < 50 && fired_by.load() != rt::watcher_tid(); i++) {
    fired_by.store(0);
    let_the_watcher_fire(entry.get());
  }
  ASSERT_EQ(fired_by.load(), rt::watcher_tid());
  for (int i = 0; i < 20; i++) EXPECT_EQ(stray::leak::find().total(), 1U);
  stray::maxprocs(before);
}

}  // namespace
