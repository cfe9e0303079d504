// Whatever a list of allowed leaks says: it is refused with its line and what a line looks like, or each entry is whole.
// A fuzzer's target: clang++ -std=c++20 -g -fsanitize=fuzzer,address,undefined -Isrc -Iinclude tests/stress/any_allow_list_target.cpp
//   libstray.a -ldw -lz -lgtest
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

#include "adapters/gtest/gtest.cpp"

namespace stray::testing {
namespace {

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "a list of allowed leaks breaks it: %s\n", what);
  std::abort();
}

bool is_trimmed(const std::string& s) { return !s.empty() && trimmed(s) == s; }

void read(const std::string& file) {
  allow_list list(file);
  int line = 0;
  leak::group unknown;
  unknown.stack.resize(1);
  unknown.stack[0].function = "shop::wait_for_order(stray::chan<int> const&)";
  for (const allowed_leak& a : list.entries) {
    must(is_day(a.until) && is_trimmed(a.pattern) && is_trimmed(a.reason), "an entry has a day, a function and a reason");
    must(a.line > line, "lines are numbered");
    line = a.line;
    matches(a.pattern, unknown);
  }
  const allowed_leak* known = list.find(unknown);
  must(known == nullptr || known->used, "what is found is used");
}

}  // namespace
}  // namespace stray::testing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int fd = memfd_create("allowed", MFD_CLOEXEC);
  static const std::string file = "/proc/self/fd/" + std::to_string(fd);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  try {
    stray::testing::read(file);
  } catch (const std::invalid_argument& e) {
    stray::testing::must(std::string_view(e.what()).starts_with("stray: " + file + ":"), "a refusal names the line");
  }
  return 0;
}
