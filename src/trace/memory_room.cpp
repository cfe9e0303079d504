#include "trace/memory_room.h"

#include "base/control_groups.h"
#include "base/read_file.h"
#include "trace/text.h"

namespace stray::trace {
namespace {

bool read_number(const char* folder, const char* name, std::uint64_t& n) noexcept {
  char digits[64];
  if (!base::read_file_in(folder, name, digits, sizeof digits) || *digits < '0' || *digits > '9') return false;
  const char* at = digits;
  n = take_dec(at);
  return true;
}

struct search {
  std::uint64_t room, enough;
};

void look_at(void* arg, const char* folder) noexcept {
  auto& found = *static_cast<search*>(arg);
  std::uint64_t limit, used;
  bool v2 = read_number(folder, "memory.max", limit) && read_number(folder, "memory.current", used);
  if (!v2 && !(read_number(folder, "memory.limit_in_bytes", limit) && read_number(folder, "memory.usage_in_bytes", used)))
    return;
  if (limit >= std::uint64_t{1} << 60) return;  // version 1's way to say that there is none
  std::uint64_t room = limit > used ? limit - used : 0;
  if (room < found.enough) {
    char stat[8192];
    if (base::read_file_in(folder, "memory.stat", stat, sizeof stat)) {
      room += number_after(stat, v2 ? "inactive_file " : "total_inactive_file ");
    }
  }
  if (room < found.room) found.room = room;
}

}  // namespace

process_memory memory_of_process() noexcept {
  char status[4096];
  process_memory m;
  if (!base::read_file("/proc/thread-self/status", status, sizeof status)) return m;
  m.resident = number_after(status, "VmRSS:") * 1024;
  m.page_tables = number_after(status, "VmPTE:") * 1024;
  return m;
}

std::uint64_t room_in_groups(const char* list, const char* mount, std::uint64_t enough) noexcept {
  search found{unlimited_room, enough};
  base::each_control_group(list, mount, "memory", look_at, &found);
  return found.room;
}

}  // namespace stray::trace
