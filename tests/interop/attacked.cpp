// A program at work whose endpoint others plague: 10,000 goroutines that wait, 100 of them leaked, and a thread and a goroutine that sleep for 1 ms
// again and again. At each line of stdin it prints `worst thread N goroutine N`: by how many us they were late since the last line.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace {

using namespace std::chrono_literals;

std::atomic<bool> done{false};
std::vector<stray::chan<int>> known;

template <class Sleep>
void beat(std::atomic<std::int64_t>& worst, Sleep sleep) {
  while (!done) {
    auto began = std::chrono::steady_clock::now();
    sleep();
    std::int64_t late = (std::chrono::steady_clock::now() - began - 1ms) / 1us, before = worst;
    while (late > before && !worst.compare_exchange_weak(before, late)) {
    }
  }
}

[[gnu::noinline]] void wait_on(int id) {
  stray::chan<int> ch = stray::make_chan<int>();
  if (id % 100 != 0) known.push_back(ch);
  stray::go([ch] { ch.recv(); });
}

}  // namespace

int main() {
  constexpr int goroutines = 10'000;
  for (int i = 0; i < goroutines; i++) wait_on(i);
  stray::testing::until_parked(goroutines);
  std::atomic<std::int64_t> of_thread{0}, of_goroutine{0};
  stray::wait_group all;
  all.go([&] { beat(of_goroutine, [] { stray::sleep_for(1ms); }); });
  std::thread thread([&] { beat(of_thread, [] { std::this_thread::sleep_for(1ms); }); });
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);)
    std::cout << "worst thread " << of_thread.exchange(0) << " goroutine " << of_goroutine.exchange(0) << std::endl;
  done = true;
  thread.join();
  all.wait();
}
