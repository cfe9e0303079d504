// What a process says of its leaks: profile.proto, from stray or from Go.
//
// 1. The bytes may be anybody's: whatever they are, reading them takes a few hundred MB and seconds at most, or ends with a clear text.
// 2. What is read may be added and printed without care: counts, bytes and times lie in 0 ... 2^53, the range that JSON has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stray::cli {

struct frame {
  std::string function, file;
  std::int64_t line = 0;
  auto operator<=>(const frame&) const = default;
};

// Goroutines with the same stack, labels, reason, tier and creator.
struct leak {
  std::string target;  // where it was read
  std::int64_t count = 0, bytes = 0;
  std::int64_t blocked_since = 0;  // seconds of the Unix clock, the oldest; 0: not known
  std::string reason, tier, cause, created_by;
  std::vector<std::string> called_by;                       // who led to created_by, innermost first
  std::vector<std::pair<std::string, std::string>> labels;  // the user's
  std::vector<frame> stack;                                 // leaf first
  // The first frame of the user's; the leaf where there is none.
  const frame& site() const;
};

struct profile {
  std::string target;
  std::int64_t taken = 0;  // seconds of the Unix clock
  std::vector<leak> leaks;
  std::vector<std::string> notes;  // why it may be incomplete
};

// Of an answer or a file, and of a profile once it is unpacked.
constexpr std::size_t most_bytes = std::size_t{64} << 20;

// Gzipped or plain. Throws std::runtime_error that says what is wrong with the bytes.
profile read_profile(std::string_view bytes, const std::string& target);

}  // namespace stray::cli
