// Timers and contexts: what arming, stopping, firing and cancelling cost, and 10^5 goroutines that sleep. Usage: bench_time
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <random>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace {

using clock_type = std::chrono::steady_clock;
using namespace std::chrono_literals;

double ms_since(clock_type::time_point t) { return std::chrono::duration<double, std::milli>(clock_type::now() - t).count(); }
double cpu_ms() {
  rusage u;
  getrusage(RUSAGE_SELF, &u);
  return 1e3 * static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         1e-3 * static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

void timers(int n) {
  std::mt19937_64 random(1);
  std::vector<std::chrono::nanoseconds> when;
  for (int i = 0; i < n; i++) when.emplace_back(random() % 1'000'000'000 + 1);
  stray::testing::fake_clock clock;
  std::vector<stray::timer> all;
  all.reserve(static_cast<std::size_t>(n));
  auto t = clock_type::now();
  for (auto d : when) all.emplace_back(d);
  double make = ms_since(t);
  t = clock_type::now();
  for (std::size_t i = 0; i < all.size(); i++) all[i].stop();
  double stop = ms_since(t);
  t = clock_type::now();
  for (std::size_t i = 0; i < all.size(); i++) all[i].reset(when[i]);
  double arm = ms_since(t);
  t = clock_type::now();
  clock.advance(2s);
  double fire = ms_since(t);
  std::printf("%d timers, ns each: make and arm %.0f, stop %.0f, reset %.0f, fire into the channel %.0f\n", n, make * 1e6 / n,
              stop * 1e6 / n, arm * 1e6 / n, fire * 1e6 / n);
}

void sleepers(int n) {
  stray::wait_group all;
  all.add(n);
  double cpu = cpu_ms();
  auto t = clock_type::now();
  for (int i = 0; i < n; i++) {
    stray::go([&all, d = std::chrono::milliseconds(100 + i % 100)] {
      stray::sleep_for(d);
      all.done();
    });
  }
  all.wait();
  std::printf("%d sleeping goroutines: wall %.0f ms, CPU %.0f ms\n", n, ms_since(t), cpu_ms() - cpu);
}

void contexts(int n) {
  auto root = stray::with_cancel(stray::background());
  std::vector<stray::context> all{root.ctx};
  std::mt19937 random(1);
  auto t = clock_type::now();
  for (int i = 1; i < n; i++) all.push_back(stray::with_cancel(all[random() % all.size()]).ctx);
  double make = ms_since(t);
  t = clock_type::now();
  root.cancel();
  double cancel = ms_since(t);
  std::printf("a tree of %d contexts, ns each: make %.0f, cancel %.0f\n", n, make * 1e6 / n, cancel * 1e6 / n);
  t = clock_type::now();
  for (int i = 0; i < n; i++) {
    auto [ctx, stop] = stray::with_timeout(stray::background(), 1h);
    stop();
  }
  std::printf("with_timeout and cancel: %.0f ns\n", ms_since(t) * 1e6 / n);
}

}  // namespace

int main() {
  for (int round = 0; round < 3; round++) {
    timers(1'000'000);
    sleepers(100'000);
    contexts(10'000);
  }
}
