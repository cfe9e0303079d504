// Many goroutines at once: N park on a channel receive, are woken one by one and park again, are released and end. Usage: bench_million N
//
// Prints ns a goroutine of each phase, and what a parked one holds: resident bytes (stack page, record, its share of all else), page
// tables, and how many mappings the process has (vm.max_map_count).
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace {

using clock_type = std::chrono::steady_clock;

long resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  long pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * 4096;
}
long page_table_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmPTE:")) return std::atol(line.c_str() + 6) * 1024;
  }
  return 0;
}
long mappings() {
  std::ifstream maps("/proc/self/maps");
  long n = 0;
  for (std::string line; std::getline(maps, line);) n++;
  return n;
}

}  // namespace

int main(int argc, char** argv) {
  const long n = argc > 1 ? std::atol(argv[1]) : 0;
  if (n <= 0) {
    std::fprintf(stderr, "usage: %s N\n", argv[0]);
    return 2;
  }
  auto values = stray::make_chan<int>();
  auto gate = stray::make_chan<void>();
  stray::wait_group all;
  auto ns_each = [n, since = clock_type::now()]() mutable {
    auto now = clock_type::now();
    double ns = std::chrono::duration<double, std::nano>(now - since).count() / static_cast<double>(n);
    since = now;
    return ns;
  };
  // On a goroutine, as the rest of such a program would be: an OS thread pays a futex call for each wake.
  auto ended = stray::make_chan<void>();
  stray::go([&] {
    const long resident = resident_bytes(), tables = page_table_bytes();
    ns_each();
    for (long i = 0; i < n; i++) {
      all.go([values, gate] {
        values.recv();
        gate.recv();
      });
    }
    stray::testing::until_parked(static_cast<std::size_t>(n));
    const double park = ns_each();
    const double held = static_cast<double>(resident_bytes() - resident) / static_cast<double>(n);
    const double mapped = static_cast<double>(page_table_bytes() - tables) / static_cast<double>(n);
    const long maps = mappings();
    ns_each();
    for (long i = 0; i < n; i++) values.send(1);
    stray::testing::until_parked(static_cast<std::size_t>(n));
    const double wake = ns_each();
    gate.close();
    all.wait();
    const double end = ns_each();
    std::printf(
        "%8ld goroutines, ns each: start and park %.0f, wake and park again %.0f, release and end %.0f; parked: %.0f bytes "
        "resident, "
        "%.0f bytes of page tables; %ld mappings\n",
        n, park, wake, end, held, mapped, maps);
    ended.send();
  });
  ended.recv();
}
