// The control groups that this process is in, of both versions, and the small files of the kernel that say what they allow.
// Raw system calls; allocates nothing; at most 20 KiB of stack.
#pragma once

#include <cstddef>

namespace stray::base {

// As read_file, of folder/name.
bool read_file_in(const char* folder, const char* name, char* text, std::size_t n) noexcept;

// f(arg, folder) for the group and each above it, the innermost first: of version 2, and of version 1's `controller`. `list` is
// /proc/self/cgroup, `mount` where the hierarchy is mounted (control_group_mount).
using group_visitor = void (*)(void* arg, const char* folder) noexcept;
void each_control_group(const char* list, const char* mount, const char* controller, group_visitor f, void* arg) noexcept;

inline constexpr const char* control_group_list = "/proc/self/cgroup";
inline constexpr const char* control_group_mount = "/sys/fs/cgroup";

}  // namespace stray::base
