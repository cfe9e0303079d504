// From a pc to its rule: which module it lies in, under the dynamic linker's lock.
#include "profile/cfi.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <link.h>

#include "base/cfi_read.h"
#include "base/modules.h"
#include "profile/cfi_sections.h"
#include "profile/modules.h"

namespace stray::profile {

module_counters count_modules() noexcept {
  module_counters counters;
  base::each_module(
      [](dl_phdr_info* info, std::size_t, void* out) {
        *static_cast<module_counters*>(out) = {info->dlpi_adds, info->dlpi_subs};
        return 1;
      },
      &counters);
  return counters;
}

}  // namespace stray::profile

namespace stray::profile::cfi {

namespace {

// All FDEs of a table without index, sorted; made once, for the program itself.
struct indexed_entry {
  std::uintptr_t start, at;
};
struct own_table {
  base::range section;
  std::vector<indexed_entry> entries;
};
own_table make_own_table(std::uintptr_t bias) {
  own_table t;
  memory_range range = find_eh_frame(bias);
  t.section = {range.lo, range.hi};
  for (std::uintptr_t at = range.lo, next = at, start = 0; next_entry(t.section, next, start); at = next)
    if (start != 0) t.entries.push_back({start, at});
  std::sort(t.entries.begin(), t.entries.end(),
            [](const indexed_entry& a, const indexed_entry& b) { return a.start < b.start; });
  return t;
}

// Copies what the rule needs, so that it outlives its module.
void own(rule& r) {
  auto keep = [&r](std::int32_t& n) {
    const auto from = reinterpret_cast<std::uintptr_t>(r.code + n);
    byte_reader length(from, from + most_length_bytes);
    const std::uint64_t size = length.uleb();
    const std::size_t at = r.bytes.size();
    r.bytes.insert(r.bytes.end(), r.code + n, reinterpret_cast<const unsigned char*>(length.at() + size));
    r.bytes.resize(std::max(r.bytes.size(), at + most_length_bytes));
    n = static_cast<std::int32_t>(at);
  };
  if (r.cfa_is_expression) keep(r.cfa_offset);
  for (unsigned i = 0; i < r.saved_count; ++i) {
    place& where = r.saved[i].where;
    if (where.kind == how::at_expression || where.kind == how::is_expression) keep(where.n);
  }
  r.code = r.bytes.data();
}

struct query {
  std::uintptr_t pc;
  std::optional<rule> result;
  std::exception_ptr failure;
};

// Follows the indirection inside the module.
std::uintptr_t stored_personality(const dl_phdr_info* info, std::uintptr_t at) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& ph = info->dlpi_phdr[i];
    std::uintptr_t lo = info->dlpi_addr + ph.p_vaddr;
    if (ph.p_type != PT_LOAD || (ph.p_flags & PF_R) == 0 || at < lo || at - lo >= ph.p_memsz) continue;
    if (ph.p_memsz - (at - lo) < sizeof(std::uintptr_t)) break;
    std::uintptr_t value;
    std::memcpy(&value, reinterpret_cast<const void*>(at), sizeof value);
    return value == 0 ? unreadable_personality : value;
  }
  return unreadable_personality;
}

bool rule_in_program(std::uintptr_t bias, std::uintptr_t pc, rule& out) {
  static const own_table* table = new own_table(make_own_table(bias));
  auto after = std::upper_bound(table->entries.begin(), table->entries.end(), pc,
                                [](std::uintptr_t a, const indexed_entry& e) { return a < e.start; });
  return after != table->entries.begin() && rule_of_entry(table->section, after[-1].at, pc, out);
}

int visit(dl_phdr_info* info, std::size_t, void* arg) {
  auto& q = *static_cast<query*>(arg);
  tables found;
  if (!base::tables_at(*info, q.pc, found)) return 0;
  try {
    rule r;
    bool described = false;
    if (found.header != 0)
      described = base::cfi::find_rule(found, q.pc, r);
    else if (info->dlpi_name == nullptr || info->dlpi_name[0] == 0)
      described = rule_in_program(info->dlpi_addr, q.pc, r);
    if (!described) return 1;
    own(r);
    if (r.personality_is_stored && r.personality != unreadable_personality)
      r.personality = stored_personality(info, r.personality);
    q.result = std::move(r);
  } catch (...) {  // no exception may cross the dynamic linker's frame
    q.failure = std::current_exception();
  }
  return 1;
}

}  // namespace

std::optional<rule> find_rule(std::uintptr_t pc) {
  query q{pc, std::nullopt, nullptr};
  base::each_module(visit, &q);
  if (q.failure != nullptr) std::rethrow_exception(q.failure);
  return std::move(q.result);
}

}  // namespace stray::profile::cfi
