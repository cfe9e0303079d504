// The request parser's edge that is ours: any target, well-formed or not, gets an answer of the table, and nothing of it leaks into a header.
// fuzz_request is the target, of a fuzzer too; here it is fed with mutations of what clients ask. How long: fuzz_seconds.hpp.
#include <cstdlib>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "serve/query.h"
#include "serve/routes.h"
#include "tests/stress/fuzz_seconds.hpp"

using namespace stray::serve;

namespace {

class empty_collector final : public collector {
 public:
  stray::profile::collection<stray::profile::sample> samples(std::string_view, look) override { return {}; }
  stray::profile::collection<stray::profile::stack_entry> stacks(std::string_view, bool) override { return {}; }
  tally count(std::string_view) override { return {}; }
  std::optional<std::string> explain() override { return "because\n"; }
  std::optional<std::string> metrics(bool) override { return "stray_goroutines 0\n"; }
  std::optional<std::string> page(std::uint64_t) override { return "<html>"; }
  std::optional<std::string> longest() override { return "count\n"; }
  std::optional<std::string> why(std::uint64_t) override { return "it waits\n"; }
};

// What is wrong with the answer; empty: nothing.
std::string fuzz_request(std::string_view bytes) {
  static empty_collector source;
  std::size_t space = bytes.find(' ');
  std::string_view method = space < 8 ? bytes.substr(0, space) : "GET", target = space < 8 ? bytes.substr(space + 1) : bytes;
  response r = route(source, method, target, [](std::chrono::seconds s) { return s.count() >= 1 && s.count() <= 300; });
  static const std::set<int> known{200, 301, 400, 404, 405};
  if (!known.contains(r.status)) return "status " + std::to_string(r.status);
  bool typed = false, sniffed = true;
  for (const auto& [name, value] : r.headers) {
    typed |= name == "Content-Type";
    sniffed &= name != "X-Content-Type-Options" || value == "nosniff";
    if (value.find_first_of("\r\n", 0) != value.npos || value.find('\0') != value.npos) return "a broken header " + name;
  }
  if (!typed || !sniffed) return "headers lack";
  if (r.body.size() > (std::size_t{1} << 20)) return "a body of " + std::to_string(r.body.size());
  std::string_view query_text = target.substr(std::min(target.size(), target.find('?')));
  query q(query_text);
  if (q.get("debug").size() > target.size()) return "a value longer than the query";
  return {};
}

constexpr const char* seeds[] = {
    "GET /debug/pprof/",
    "GET /debug/pprof/goroutineleak?debug=1",
    "GET /debug/pprof/goroutineleak?debug=2&leaked=1",
    "GET /debug/pprof/goroutineleak?seconds=5",
    "GET /debug/pprof/goroutine?debug=-1&seconds=",
    "GET /debug/pprof/symbol?0x401000+0x402000+7",
    "GET /debug/pprof/cmdline#x",
    "HEAD /debug/pprof?debug=1",
    "POST /debug/pprof/symbol",
    "GET /metrics?detect=1",
    "GET /debug/stray/?why=17",
    "GET /debug/stray/why?id=99999999999999999999",
    "GET /debug/stray?a=%0d%0aX:%20y",
    "GET /%64ebug/pprof/%67oroutine?%64ebug=%31;debug=2&&=&%",
};

class mutator {
 public:
  explicit mutator(std::uint64_t seed) : random_(seed) {}
  std::string next() {
    std::string text = seeds[below(std::size(seeds))];
    for (std::size_t n = below(8); n > 0; n--) change(text);
    return text;
  }

 private:
  std::size_t below(std::size_t n) { return random_() % n; }
  void change(std::string& text) {
    static constexpr std::string_view pieces[] = {"%",
                                                  "%0",
                                                  "%00",
                                                  "%0a",
                                                  "\r\n",
                                                  "?",
                                                  "&",
                                                  "=",
                                                  "+",
                                                  ";",
                                                  "/",
                                                  "//",
                                                  "..",
                                                  "debug=",
                                                  "seconds=",
                                                  "-",
                                                  "9223372036854775808",
                                                  "0x",
                                                  "why=",
                                                  std::string_view("\0", 1),
                                                  "\xff"};
    std::size_t at = below(text.size() + 1);
    switch (below(6)) {
      case 0:
        text.insert(at, pieces[below(std::size(pieces))]);
        break;
      case 1:
        text.erase(at, below(6));
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(below(256));
        break;
      case 3:
        text += std::string_view(seeds[below(std::size(seeds))]).substr(below(12));
        break;
      case 4:
        text.insert(at, text.substr(below(text.size() + 1), below(20)));
        break;
      default:
        if (below(50) == 0) text.insert(at, std::string(below(40'000), "a%&=+1"[below(6)]));
    }
  }
  std::mt19937_64 random_;
};

}  // namespace

TEST(any_request, gets_an_answer_of_the_table) {
  std::int64_t end = stray::base::now_ns() + fuzz_seconds() * 1'000'000'000;
  std::uint64_t seed = std::random_device()();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  mutator m(seed);
  std::size_t n = 0;
  for (; stray::base::now_ns() < end; n++) {
    std::string bytes = m.next();
    ASSERT_EQ(fuzz_request(bytes), "") << testing::PrintToString(bytes);
  }
  std::printf("%zu requests\n", n);
  EXPECT_GT(n, 1000u);
}
