// What a process says of its leaks: profile.proto, from stray or from Go.
#pragma once

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

// Goroutines with the same stack, labels, reason and tier.
struct leak {
  std::string target;  // where it was read
  std::int64_t count = 0, bytes = 0;
  std::int64_t blocked_since = 0;  // seconds of the Unix clock, the oldest; 0: not known
  std::string reason, tier, cause, created_by;
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

// Gzipped or plain. Throws std::runtime_error that says what is wrong with the bytes.
profile read_profile(std::string_view bytes, const std::string& target);

}  // namespace stray::cli
