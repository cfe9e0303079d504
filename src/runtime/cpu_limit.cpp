#include "runtime/cpu_limit.h"

#include <cstdlib>

#include "base/control_groups.h"

namespace stray::runtime {

namespace {

int ratio(long long quota, long long period) noexcept {
  if (quota <= 0 || period <= 0) return 0;
  long long n = (quota + period - 1) / period;
  return n > 1'000'000 ? 0 : static_cast<int>(n);
}

int limit_in(const char* folder) noexcept {
  char text[128];
  if (base::read_file_in(folder, "cpu.max", text, sizeof text)) {  // "max 100000" or "150000 100000"
    char* end = nullptr;
    long long quota = std::strtoll(text, &end, 10);
    return end == text ? 0 : ratio(quota, std::strtoll(end, nullptr, 10));
  }
  if (!base::read_file_in(folder, "cpu.cfs_quota_us", text, sizeof text)) return 0;
  long long quota = std::strtoll(text, nullptr, 10);
  return base::read_file_in(folder, "cpu.cfs_period_us", text, sizeof text) ? ratio(quota, std::strtoll(text, nullptr, 10)) : 0;
}

void take_stricter(void* least_of, const char* folder) noexcept {
  int& least = *static_cast<int*>(least_of);
  int n = limit_in(folder);
  if (n != 0 && (least == 0 || n < least)) least = n;
}

}  // namespace

int cpu_limit(const char* list, const char* mount) noexcept {
  int least = 0;
  base::each_control_group(list, mount, "cpu", take_stricter, &least);
  return least;
}

}  // namespace stray::runtime
