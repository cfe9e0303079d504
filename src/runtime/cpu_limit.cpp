#include "runtime/cpu_limit.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/syscalls.h"

namespace stray::runtime {

namespace {

constexpr std::size_t path_max = 4096;

// The whole file, at most n - 1 bytes, with a 0 behind it; false: it cannot be read.
bool read_file(const char* path, char* text, std::size_t n) noexcept {
  int fd = base::sys::open(path, 0);
  if (fd < 0) return false;
  long got = base::sys::read(fd, text, n - 1);
  base::sys::close(fd);
  if (got < 0) return false;
  text[got] = '\0';
  return true;
}

int ratio(long long quota, long long period) noexcept {
  if (quota <= 0 || period <= 0) return 0;
  long long n = (quota + period - 1) / period;
  return n > 1'000'000 ? 0 : static_cast<int>(n);
}

int limit_in(const char* folder) noexcept {
  char path[path_max + 32], text[128];
  std::snprintf(path, sizeof path, "%s/cpu.max", folder);
  if (read_file(path, text, sizeof text)) {  // "max 100000" or "150000 100000"
    char* end = nullptr;
    long long quota = std::strtoll(text, &end, 10);
    return end == text ? 0 : ratio(quota, std::strtoll(end, nullptr, 10));
  }
  std::snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
  if (!read_file(path, text, sizeof text)) return 0;
  long long quota = std::strtoll(text, nullptr, 10);
  std::snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
  return read_file(path, text, sizeof text) ? ratio(quota, std::strtoll(text, nullptr, 10)) : 0;
}

// Of the group and all above it.
int strictest(const char* root, const char* group) noexcept {
  char folder[path_max];
  if (std::snprintf(folder, sizeof folder, "%s%s", root, group) >= static_cast<int>(sizeof folder)) return 0;
  int least = 0;
  for (char* slash = folder; slash != nullptr;) {
    int n = limit_in(folder);
    if (n != 0 && (least == 0 || n < least)) least = n;
    slash = std::strrchr(folder + std::strlen(root), '/');
    if (slash != nullptr) *slash = '\0';
  }
  return least;
}

}  // namespace

int cpu_limit(const char* list, const char* mount) noexcept {
  char text[8192];
  if (!read_file(list, text, sizeof text)) return 0;
  int least = 0;
  char* rest = nullptr;
  for (char* line = strtok_r(text, "\n", &rest); line != nullptr;
       line = strtok_r(nullptr, "\n", &rest)) {  // ID:CONTROLLERS:PATH
    char* controllers = std::strchr(line, ':');
    char* path = controllers == nullptr ? nullptr : std::strchr(controllers + 1, ':');
    if (path == nullptr) continue;
    *path++ = '\0';
    controllers++;
    char root[path_max];
    if (*controllers == '\0') {
      std::snprintf(root, sizeof root, "%s", mount);
    } else if (std::strcmp(controllers, "cpu") == 0 || std::strstr(controllers, "cpu,") != nullptr ||
               std::strstr(controllers, ",cpu") != nullptr) {
      std::snprintf(root, sizeof root, "%s/cpu", mount);
    } else {
      continue;
    }
    int n = strictest(root, std::strcmp(path, "/") == 0 ? "" : path);
    if (n != 0 && (least == 0 || n < least)) least = n;
  }
  return least;
}

}  // namespace stray::runtime
