// Separate debug files: whether one is of the build that runs.
//
// 1. It has the module's build id; where one of the two has none, the checksum that .gnu_debuglink names. Another one's lines would be wrong without
//    a sign of it, so a file of which neither is known is not taken.
// 2. Only regular files are opened, and never waited for: a FIFO of that name would hold up the detector.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace stray::profile {

// By what a module knows its debug file.
struct debug_file_id {
  std::span<const unsigned char> build_id;  // empty: it has none
  std::optional<std::uint32_t> checksum;    // CRC-32 of the whole file
};

// A descriptor; -1: there is no such file, or it is not the one, and then `why` says so.
int open_debug_file(const std::string& path, const debug_file_id& wanted, std::string& why);

}  // namespace stray::profile
