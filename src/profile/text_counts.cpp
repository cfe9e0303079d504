// debug=1: counts of goroutines by (stack, the user's labels).
//
// 1. Samples that differ only in what debug=0 tells apart (reason, tier) are one group here.
// 2. Order: count descending, then the text of the key, as Go sorts.
// 3. Columns are aligned as Go's text/tabwriter(minwidth 1, tabwidth 8, padding 1, tabs) does, within a group.
#include <algorithm>
#include <map>

#include "base/format.h"
#include "base/printable.h"
#include "profile/formats.h"
#include "profile/text.h"

namespace stray::profile {

namespace {

constexpr std::size_t tab = 8, padding = 1;

// Characters, not bytes: Go counts runes.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

struct frame_row {
  std::string pc, function, place;
};

void write_row(std::string& out, const frame_row& row, std::size_t pc_width, std::size_t function_width) {
  auto cell = [&out](std::string_view text, std::size_t widest) {
    std::size_t width = (widest + padding + tab - 1) / tab * tab;
    out += text;
    out.append((width - width_of(text) + tab - 1) / tab, '\t');
  };
  cell("#", 1);
  cell(row.pc, pc_width);
  cell(row.function, function_width);
  out += row.place;
  out += '\n';
}

void write_frames(std::string& out, const std::vector<std::uintptr_t>& pcs) {
  std::vector<frame_row> rows;
  std::size_t pc_width = 0, function_width = 0;
  for (const shown_line& shown : shown_lines(pcs)) {
    const source_line& line = *shown.line;
    frame_row row;
    row.pc = base::format("{:#x}", shown.pc);
    // Without a symbol the name is already MODULE+0xOFF.
    row.function = base::printable(line.function);
    if (!line.system_name.empty() || !line.file.empty()) base::format_to(row.function, "+{:#x}", line.offset);
    row.place = position(line);
    pc_width = std::max(pc_width, width_of(row.pc));
    function_width = std::max(function_width, width_of(row.function));
    rows.push_back(std::move(row));
  }
  for (const frame_row& row : rows) write_row(out, row, pc_width, function_width);
}

}  // namespace

std::string write_counts(std::string_view profile_name, std::span<const sample> samples,
                         std::span<const std::string> incomplete, std::span<const std::string> likely) {
  struct group {
    std::string key;
    std::int64_t count = 0;
    const sample* first = nullptr;
  };
  std::map<std::string, group> by_key;
  std::int64_t total = 0;
  for (const sample& s : samples) {
    std::string key = "@";
    for (std::uintptr_t pc : s.pcs) key += base::format(" {:#x}", pc);
    if (!s.labels.empty()) key += "\n# labels: " + label_set(s.labels, ":");
    group& g = by_key[key];
    g.count += s.count;
    g.first = &s;
    g.key = std::move(key);
    total += s.count;
  }
  std::vector<const group*> groups;
  for (const auto& [key, g] : by_key) groups.push_back(&g);
  std::stable_sort(groups.begin(), groups.end(), [](const group* a, const group* b) { return a->count > b->count; });

  std::string out = base::format("{} profile: total {}\n", profile_name, total);
  out += comments(incomplete, likely);
  for (const group* g : groups) {
    out += base::format("{} {}\n", g->count, g->key);
    write_frames(out, g->first->pcs);
    out += '\n';
  }
  return out;
}

}  // namespace stray::profile
