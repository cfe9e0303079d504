// See plugin.h. Two units, of which strict.cpp is built with other flags.
#include <atomic>
#include <chrono>
#include <iostream>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

#include "plugin.h"
#include "summing.hpp"

namespace plugin {

namespace {

std::atomic<unsigned long> ticks{0};
stray::chan<int> in_static;
thread_local stray::chan<int> in_thread;

[[gnu::noinline]] void wait_for_nobody(const stray::chan<int>& lost) {
  lost.recv();  // here: leak
}
[[gnu::noinline]] void wait_on(const stray::chan<int>& kept) { kept.recv(); }

[[gnu::noinline]] void lose_one() { stray::go(wait_for_nobody, stray::make_chan<int>()); }

}  // namespace

}  // namespace plugin

extern "C" {

long plugin_sum(long n) { return plugin::sum(n); }

void plugin_leave_waiting() {
  plugin::in_static = stray::make_chan<int>();
  plugin::in_thread = stray::make_chan<int>();
  plugin::lose_one();
  stray::go(plugin::wait_on, plugin::in_static);
  stray::go(plugin::wait_on, plugin::in_thread);
  stray::testing::until_parked(3);
}

void plugin_report() { std::cout << stray::leak::find() << std::endl; }

unsigned long plugin_ticks() {
  static bool counting = [] {
    stray::go([] {
      stray::ticker every(std::chrono::milliseconds(1));
      for (auto tick = every.channel(); tick.recv();) plugin::ticks++;
    });
    return true;
  }();
  return counting ? plugin::ticks.load() : 0;
}

int plugin_releases(int of_this_thread) {
  const stray::chan<int>& kept = of_this_thread ? plugin::in_thread : plugin::in_static;
  int n = 0;
  while (kept.try_send(1)) n++;
  return n;
}
}
