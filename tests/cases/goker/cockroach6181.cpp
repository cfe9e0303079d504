// Three look a range up. Two of them read; the third has read and wants to write what it found. The two print the cache while they read,
// which reads once more, behind the writer. The test waits for all three.
// expect: 1 RangeDescriptorCache::lookup_range_descriptor [sync.RWMutex.Lock] cycle @write
// expect: 2 RangeDescriptorCache::string [sync.RWMutex.RLock] cycle @again
// expect: 1 test_range_cache_coalesced_requests [sync.WaitGroup.Wait] proven @all
// go: allowed
// cause: is held for reading by goroutine N, goroutine N, which wait in the same cycle
#include <array>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>

#include "report.hpp"

struct RangeDescriptorCache {
  stray::shared_mutex range_cache_mu;

  std::string string() {
    std::shared_lock lock(range_cache_mu);  // here: again
    return "ranges";
  }
  void lookup_range_descriptor(const stray::recv_chan<void>& gate) {
    {
      std::shared_lock lock(range_cache_mu);
      gate.recv();
      string();
    }
    std::lock_guard lock(range_cache_mu);  // here: write
  }
};

void test_range_cache_coalesced_requests(const std::array<stray::recv_chan<void>, 3>& gates) {
  auto cache = std::make_shared<RangeDescriptorCache>();
  stray::wait_group all;
  for (const auto& gate : gates) all.go([cache, gate] { cache->lookup_range_descriptor(gate); });
  all.wait();  // here: all
}

void start() {
  std::array<stray::chan<void>, 2> gates{stray::make_chan<void>(), stray::make_chan<void>()};
  stray::go(
      [g = std::array<stray::recv_chan<void>, 3>{gates[0], gates[0], gates[1]}] { test_range_cache_coalesced_requests(g); });
  stray::testing::until_parked(4);
  gates[1].close();
  stray::testing::until_parked(4);
  gates[0].close();
  stray::testing::until_parked(4);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
