// What an idle process costs: after some work, parked goroutines, a sleeping one and a pending timer. Usage: bench_idle [SECONDS (10)]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include <stray/stray.hpp>

namespace {

double cpu_us() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) * 1e-3;
}
// Of all threads.
long switches() {
  long n = 0;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(thread.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (auto at = line.find("ctxt_switches:"); at != std::string::npos) n += std::atol(line.c_str() + at + 14);
    }
  }
  return n;
}

}  // namespace

int main(int argc, char** argv) {
  const int seconds = argc > 1 ? std::atoi(argv[1]) : 10;
  auto numbers = stray::make_chan<int>();
  auto never = stray::make_chan<int>();
  for (int i = 0; i < 1000; i++) stray::go([never] { never.recv(); });
  stray::go([] { stray::sleep_for(std::chrono::hours(1)); });
  stray::timer pending(std::chrono::hours(1));
  stray::go([numbers] {
    for (int i = 0; i < 100'000; i++) numbers.send(i);
    numbers.close();
  });
  long sum = 0;
  for (int i : numbers) sum += i;
  std::this_thread::sleep_for(std::chrono::seconds(2));  // stacks are trimmed after half a second of quiet
  const long before = switches();
  const double cpu = cpu_us();
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  const double used = cpu_us() - cpu;
  std::printf("idle for %d s (after a sum of %ld, with 1002 goroutines and a timer): CPU %.0f us, context switches %ld\n",
              seconds, sum, used,
              switches() - before - 1);  // one is this thread's own sleep
}
