#include "leak/model/thread_stacks.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <string>

#include "base/clock.h"
#include "base/syscalls.h"

namespace stray::leak {

namespace {

// The calling thread's file: the one of the process is empty once main has ended.
std::vector<base::range> read_mappings() {
  std::vector<base::range> all;
  std::string text;
  const int fd = base::sys::open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return all;
  for (std::size_t used = 0;;) {
    text.resize(used + (std::size_t{64} << 10));
    const long got = base::sys::read(fd, text.data() + used, text.size() - used);
    used += got > 0 ? static_cast<std::size_t>(got) : 0;
    text.resize(used);
    if (got <= 0) break;
  }
  base::sys::close(fd);
  for (const char *at = text.data(), *end = at + text.size(); at < end;) {
    base::range r{};
    auto [dash, bad] = std::from_chars(at, end, r.lo, 16);
    if (bad == std::errc() && dash != end && std::from_chars(dash + 1, end, r.hi, 16).ec == std::errc()) all.push_back(r);
    at = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
    if (at++ == nullptr) break;
  }
  return all;
}

}  // namespace

// The mapping that holds an OS thread's stack pointer: its end bounds the walk.
std::uintptr_t thread_stacks::end_of(std::uintptr_t sp, std::int64_t waits_since_ns) {
  if (read_ns_ == 0 || waits_since_ns >= read_ns_) {
    read_ns_ = base::now_ns();
    all_ = read_mappings();
  }
  auto above =
      std::upper_bound(all_.begin(), all_.end(), sp, [](std::uintptr_t at, const base::range& r) { return at < r.hi; });
  return above != all_.end() && sp >= above->lo ? above->hi : sp;
}

}  // namespace stray::leak
