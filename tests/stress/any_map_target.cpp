// Whatever stands in /proc/self/maps: the list is refused, or sorted and without overlap, and every look-up agrees with it.
// A fuzzer's target: clang++ -std=c++20 -g -fsanitize=fuzzer,address,undefined -Isrc tests/stress/any_map_target.cpp
//   src/trace/memory_map.cpp
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

#include "trace/memory_map.h"

using namespace stray::trace;

namespace {

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "a list of mappings breaks it: %s\n", what);
  std::abort();
}

const mapping* find(const memory_map& map, std::uintptr_t at) {
  for (const mapping& m : map.all())
    if (m.lo <= at && at < m.hi) return &m;
  return nullptr;
}

struct file_in_memory {
  int fd = memfd_create("maps", MFD_CLOEXEC);
  char path[32];
  file_in_memory() { std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const file_in_memory file;
  static bump memory;
  static const bool reserved = memory.reserve(std::size_t{1} << 26);
  must(reserved && file.fd >= 0, "there is room for the test");
  if (ftruncate(file.fd, 0) != 0 || pwrite(file.fd, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  memory.reset();
  memory_map map;
  if (!map.read(memory, file.path)) return 0;
  must(map.all().size != 0, "an empty list is refused");
  std::uintptr_t last = 0;
  for (const mapping& m : map.all()) {
    must(m.lo >= last && m.lo < m.hi, "mappings are sorted and do not overlap");
    last = m.hi;
    for (std::uintptr_t at : {m.lo - 1, m.lo, m.lo + (m.hi - m.lo) / 2, m.hi - 1, m.hi}) {
      const mapping* there = find(map, at);
      must(map.find(at) == there, "the one that holds an address");
      const mapping* next = map.after(at);
      must(next == nullptr ? there == nullptr : next->hi > at, "the one behind an address");
      must(!map.readable(at, 1) || (there != nullptr && there->readable), "what can be read is mapped so");
    }
  }
  return 0;
}
