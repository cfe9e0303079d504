// any_profile_target.cpp, fed with mutations of stored profiles: of stray, of Go, and of what once broke the tool. How long: fuzz_seconds.hpp.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "tests/stress/fuzz_seconds.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::vector<std::string> seeds() {
  std::vector<std::string> found;
  for (const auto& file : std::filesystem::directory_iterator(std::filesystem::path(__FILE__).parent_path() / "profiles")) {
    std::ifstream in(file.path(), std::ios::binary);
    found.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return found;
}

void feed(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

class mutator {
 public:
  explicit mutator(std::uint64_t seed) : random_(seed) {}
  std::string next(const std::vector<std::string>& from) {
    std::string bytes = from[below(from.size())];
    for (std::size_t n = below(6); n > 0; n--) change(bytes, from[below(from.size())]);
    return bytes;
  }

 private:
  std::size_t below(std::size_t n) { return n == 0 ? 0 : random_() % n; }
  void change(std::string& bytes, const std::string& other) {
    using namespace std::string_view_literals;
    static constexpr std::string_view pieces[] = {"\0"sv,     "\x7f"sv,         "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv,
                                                  "\x12\0"sv, "\x1a\x02\x08"sv, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"sv,
                                                  "\x32\0"sv, "\x22\0"sv,       "\x1b[2J\r\n"sv};
    std::size_t at = below(bytes.size() + 1);
    switch (below(7)) {
      case 0:
        bytes.insert(at, pieces[below(std::size(pieces))]);
        break;
      case 1:
        bytes.erase(at, below(8));
        break;
      case 2:
        if (at < bytes.size()) bytes[at] = static_cast<char>(below(256));
        break;
      case 3:  // another type of the same field
        if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 + below(7)));
        break;
      case 4:
        if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] + (below(2) == 0 ? 1 : -1));
        break;
      case 5:
        bytes.insert(at, bytes.substr(below(bytes.size() + 1), below(60)));
        break;
      default:
        bytes += other.substr(below(other.size() + 1), below(400));
    }
  }
  std::mt19937_64 random_;
};

}  // namespace

TEST(any_profile, is_refused_or_shown) {
  std::int64_t end = stray::base::now_ns() + fuzz_seconds() * 1'000'000'000;
  std::uint64_t seed = std::random_device()();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  const std::vector<std::string> from = seeds();
  ASSERT_GE(from.size(), 4u);
  for (const std::string& bytes : from) feed(bytes);
  mutator m(seed);
  std::size_t n = 0;
  for (; stray::base::now_ns() < end; n++) feed(m.next(from));
  std::printf("%zu profiles\n", n);
  EXPECT_GT(n, 100u);
}
