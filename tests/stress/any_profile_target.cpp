// Whatever bytes the tool is given as a profile: they are refused with a text, or can be shown in every form.
// A fuzzer's target: clang++ -std=c++20 -g -fsanitize=fuzzer,address,undefined -Isrc tests/stress/any_profile_target.cpp
//   src/cli/{profile,sites,print}.cpp src/base/{printable,format}.cpp -lz -lfmt
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/print.h"
#include "cli/profile.h"
#include "cli/sites.h"

using namespace stray::cli;

namespace {

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "a profile breaks it: %s\n", what);
  std::abort();
}

bool is_amount(std::int64_t n) { return n >= 0 && n <= std::int64_t{1} << 53; }

// Characters of other languages stay; what acts on a terminal does not.
void check_text(const std::string& text, bool ascii) {
  for (char c : text) {
    auto u = static_cast<unsigned char>(c);
    must(u >= 0x20 || c == '\n', "a control character is printed");
    must(u != 0x7f && (u < 0x80 || !ascii), "JSON is ASCII");
  }
  for (const char* hidden : {"\xc2\x9b", "\xe2\x80\xae", "\xe2\x80\xa8"})
    must(text.find(hidden) == text.npos, "a control character of two bytes is printed");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<profile> profiles;
  try {
    profiles.push_back(read_profile(std::string_view(reinterpret_cast<const char*>(data), size), "target"));
  } catch (const std::runtime_error& e) {
    must(std::string_view(e.what()).starts_with("it "), "a refusal is a sentence about the profile");
    return 0;
  }
  for (const leak& l : profiles[0].leaks) {
    must(is_amount(l.count) && is_amount(l.bytes) && is_amount(l.blocked_since), "counts lie in 0 ... 2^53");
    must(l.stack.size() <= 1024, "stacks are limited");
  }
  style s;
  s.growth = true;
  s.now = 1'800'000'000;
  std::vector<site> sites = rank(profiles, profiles, order::growth);
  must(difference(profiles, profiles).empty(), "a profile does not differ from itself");
  check_text(table(sites, 20, s), false);
  for (const site& one : sites) check_text(details(one, s) + one_line(one, s), false);
  for (const std::string& text : {json(sites, profiles, s), sarif(sites, "0.0.0")}) {
    check_text(text, true);
    must(nlohmann::json::accept(text), "it is JSON");
  }
  return 0;
}
