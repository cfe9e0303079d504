// The cache is printed by a function that expects the lock to be held.
// expect: nothing
#include <array>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>

#include "report.hpp"

struct RangeDescriptorCache {
  stray::shared_mutex range_cache_mu;

  std::string string() { return "ranges"; }
  void lookup_range_descriptor(const stray::recv_chan<void>& gate) {
    {
      std::shared_lock lock(range_cache_mu);
      gate.recv();
      string();
    }
    std::lock_guard lock(range_cache_mu);
  }
};

void test_range_cache_coalesced_requests(const std::array<stray::recv_chan<void>, 3>& gates) {
  auto cache = std::make_shared<RangeDescriptorCache>();
  stray::wait_group all;
  for (const auto& gate : gates) all.go([cache, gate] { cache->lookup_range_descriptor(gate); });
  all.wait();
}

void start() {
  std::array<stray::chan<void>, 2> gates{stray::make_chan<void>(), stray::make_chan<void>()};
  stray::go(
      [g = std::array<stray::recv_chan<void>, 3>{gates[0], gates[0], gates[1]}] { test_range_cache_coalesced_requests(g); });
  stray::testing::until_parked(4);
  gates[1].close();
  stray::testing::until_parked(4);
  gates[0].close();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
