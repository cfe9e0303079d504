// Separate debug files: whether one is of the build that runs.
//
// 1. It has the module's build id; where one of the two has none, the checksum that .gnu_debuglink names. Another one's lines would be wrong without
//    a sign of it, so a file of which neither is known is not taken.
// 2. Only regular files are opened, and never waited for: a FIFO of that name would hold up the detector.
// 3. libdw opens other parts by itself (.dwo, .dwp, what .gnu_debugaltlink names), and would wait for a FIFO or start a device: the places where it
//    would look are looked at before. Whoever can swap a file between that and its opening can still hold it up.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <elfutils/libdw.h>

namespace stray::profile {

// By what a module knows its debug file.
struct debug_file_id {
  std::span<const unsigned char> build_id;  // empty: it has none
  std::optional<std::uint32_t> checksum;    // CRC-32 of the whole file
};

// A descriptor, not inherited by exec; -1: there is no regular file. Never waits (2).
int open_regular(const char* path) noexcept;
// A descriptor; -1: there is no such file, or it is not the one, and then `why` says so.
int open_debug_file(const std::string& path, const debug_file_id& wanted, std::string& why);

// Where libdw looks for parts of the debug information in `files`, a module's own one and its separate one: nothing is there but regular files.
// shared: what several debug files share; split: of one compilation unit.
bool shared_part_is_regular(Dwarf* dwarf, const std::vector<std::string>& files);
bool split_part_is_regular(Dwarf_Die* skeleton, const std::vector<std::string>& files);

}  // namespace stray::profile
