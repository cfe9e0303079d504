// A range that begins at 0 is a function that the linker dropped: it describes nothing.
#include "profile/dwarf_index.h"

#include <algorithm>
#include <dwarf.h>
#include <filesystem>
#include <utility>

#include "profile/debug_file.h"
#include "profile/dwarf_name.h"

namespace stray::profile {

namespace {

template <class F>
void for_each_range(Dwarf_Die* die, F f) {
  Dwarf_Addr base = 0, lo = 0, hi = 0;
  std::ptrdiff_t offset = 0;
  for (int n = 0; n < 100000 && (offset = dwarf_ranges(die, offset, &base, &lo, &hi)) > 0; ++n)
    if (lo < hi && lo != 0) f(lo, hi);  // 0: a function that the linker dropped
}

bool holds(Dwarf_Die* die, Dwarf_Addr address) {
  bool found = false;
  for_each_range(die, [&](Dwarf_Addr lo, Dwarf_Addr hi) { found |= lo <= address && address < hi; });
  return found;
}

const char* text_of(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  return dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
}

int number_of(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  return dwarf_formudata(dwarf_attr(die, name, &attribute), &value) == 0 ? static_cast<int>(value) : 0;
}

// The innermost inlined call that holds the address, with its parents, outermost first.
void inlined_chain(Dwarf_Die* parent, Dwarf_Addr address, std::vector<Dwarf_Die>& chain, int depth) {
  Dwarf_Die child;
  if (depth > 200 || dwarf_child(parent, &child) != 0) return;
  do {
    int tag = dwarf_tag(&child);
    if ((tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block) || !holds(&child, address)) continue;
    if (tag == DW_TAG_inlined_subroutine) chain.push_back(child);
    inlined_chain(&child, address, chain, depth + 1);
    return;
  } while (dwarf_siblingof(&child, &child) == 0);
}

}  // namespace

void dwarf_index::sort(std::vector<span>& spans) {
  std::sort(spans.begin(), spans.end(), [](const span& a, const span& b) { return a.lo != b.lo ? a.lo < b.lo : a.hi > b.hi; });
}

// The narrowest span around the address: with nested ones, the one that starts last.
const dwarf_index::span* dwarf_index::find(const std::vector<span>& spans, std::uintptr_t address) {
  auto after = std::upper_bound(spans.begin(), spans.end(), address, [](std::uintptr_t a, const span& s) { return a < s.lo; });
  for (int tries = 0; after != spans.begin() && tries < 16; ++tries) {
    --after;
    if (address < after->hi) return &*after;
  }
  return nullptr;
}

dwarf_index::unit& dwarf_index::unit_of(Dwarf_CU* cu) {
  auto [at, fresh] = units_.try_emplace(cu);
  unit& u = at->second;
  if (!fresh) return u;
  Dwarf_Die split{};
  std::uint8_t type = 0;
  if (dwarf_cu_info(cu, nullptr, &type, &u.die, nullptr, nullptr, nullptr, nullptr) != 0) return u;
  u.refused = type == DW_UT_skeleton && !split_part_is_regular(&u.die, files_);
  if (u.refused || dwarf_cu_info(cu, nullptr, nullptr, nullptr, &split, nullptr, nullptr, nullptr) != 0) return u;
  u.tree = type == DW_UT_skeleton && dwarf_tag(&split) == DW_TAG_compile_unit ? split : u.die;
  if (const char* directory = text_of(&u.die, DW_AT_comp_dir)) u.directory = directory;
  return u;
}

void dwarf_index::list_units() {
  Dwarf_CU* cu = nullptr;
  std::uint8_t type = 0;
  Dwarf_Die die;
  while (dwarf_get_units(dwarf_, cu, &cu, nullptr, &type, &die, nullptr) == 0) {
    if (type != DW_UT_compile && type != DW_UT_skeleton) continue;
    std::size_t owner = listed_.size();
    listed_.push_back(cu);
    for_each_range(&die, [&](Dwarf_Addr lo, Dwarf_Addr hi) { unit_spans_.push_back({lo, hi, owner}); });
  }
  sort(unit_spans_);
}

dwarf_index::unit* dwarf_index::unit_at(std::uintptr_t address) {
  Dwarf_CU* cu = dwarf_ != nullptr ? cu_at(address) : nullptr;
  if (cu == nullptr) return nullptr;
  unit& found = unit_of(cu);
  return found.refused ? nullptr : &found;
}

Dwarf_CU* dwarf_index::cu_at(std::uintptr_t address) {
  Dwarf_Aranges* ranges = nullptr;
  Dwarf_Off offset = 0;
  Dwarf_Die die;
  if (dwarf_getaranges(dwarf_, &ranges, nullptr) == 0 &&
      dwarf_getarangeinfo(dwarf_getarange_addr(ranges, address), nullptr, nullptr, &offset) == 0 &&
      dwarf_offdie(dwarf_, offset, &die) != nullptr && holds(&die, address))
    return die.cu;
  if (!std::exchange(all_listed_, true)) list_units();
  const span* found = find(unit_spans_, address);
  return found != nullptr ? listed_[found->owner] : nullptr;
}

void dwarf_index::walk(unit& u, Dwarf_Die* parent, bool classes, int depth) {
  Dwarf_Die child;
  if (depth > 200 || dwarf_child(parent, &child) != 0) return;
  do {
    switch (dwarf_tag(&child)) {
      case DW_TAG_subprogram: {
        if (dwarf_hasattr(&child, DW_AT_declaration)) break;
        std::size_t owner = u.functions.size(), before = u.spans.size();
        for_each_range(&child, [&](Dwarf_Addr lo, Dwarf_Addr hi) { u.spans.push_back({lo, hi, owner}); });
        if (u.spans.size() != before) u.functions.push_back(child);
        walk(u, &child, true, depth + 1);  // a local class has its member functions inside
        break;
      }
      case DW_TAG_class_type:
      case DW_TAG_structure_type:
      case DW_TAG_union_type:
        if (!classes) break;
        [[fallthrough]];
      case DW_TAG_namespace:
      case DW_TAG_module:
      case DW_TAG_lexical_block:
        walk(u, &child, classes, depth + 1);
        break;
      default:
        break;
    }
  } while (dwarf_siblingof(&child, &child) == 0);
}

const dwarf_index::span* dwarf_index::function_at(unit& u, std::uintptr_t address) {
  for (int places = 1; places <= 2; places++) {
    if (u.walked < places) {
      u.functions.clear();
      u.spans.clear();
      walk(u, &u.tree, places == 2, 0);
      sort(u.spans);
      u.walked = places;
    }
    if (const span* found = find(u.spans, address)) return found;
  }
  return nullptr;
}

std::string dwarf_index::path(const unit& u, const char* file) const {
  if (file == nullptr) return {};
  std::filesystem::path p(file);
  if (p.is_relative() && !u.directory.empty()) p = std::filesystem::path(u.directory) / p;
  return p.lexically_normal().string();
}

const source_line& dwarf_index::named(Dwarf_Die* function) {
  auto [at, fresh] = names_.try_emplace(origin_of(*function).addr);
  if (fresh) name_function(function, at->second);
  return at->second;
}

void dwarf_index::call_site(const unit& u, Dwarf_Die* inlined, source_line& line) const {
  line.line = number_of(inlined, DW_AT_call_line);
  line.file.clear();
  Dwarf_Die die = u.tree;
  Dwarf_Files* files = nullptr;
  std::size_t count = 0;
  auto index = static_cast<std::size_t>(number_of(inlined, DW_AT_call_file));
  if (dwarf_getsrcfiles(&die, &files, &count) == 0 && index < count)
    line.file = path(u, dwarf_filesrc(files, index, nullptr, nullptr));
}

std::uintptr_t dwarf_index::lines_at(std::uintptr_t address, std::vector<source_line>& lines) {
  unit* its = unit_at(address);
  if (its == nullptr) return 0;
  unit& u = *its;
  const span* where = function_at(u, address);
  if (where == nullptr) return 0;
  Dwarf_Die function = u.functions[where->owner];
  std::vector<Dwarf_Die> chain{function};
  inlined_chain(&function, address, chain, 0);

  source_line at;  // the position, of the innermost function first
  Dwarf_Die die = u.die;
  if (Dwarf_Line* row = dwarf_getsrc_die(&die, address)) {
    dwarf_lineno(row, &at.line);
    at.file = path(u, dwarf_linesrc(row, nullptr, nullptr));
  }
  std::size_t first = lines.size();
  for (std::size_t i = chain.size(); i-- > 0;) {
    source_line line = named(&chain[i]);
    line.file = at.file;
    line.line = at.line;
    if (line.line == 0) line.line = line.start_line;  // code that the compiler gives no line
    lines.push_back(std::move(line));
    if (i > 0) call_site(u, &chain[i], at);
  }
  // Entry of the function, or of the part that holds the address when it was split (.cold).
  Dwarf_Addr entry = 0;
  if (dwarf_entrypc(&function, &entry) != 0 || entry > address) entry = where->lo;
  if (entry < where->lo && where->lo - entry > (std::uintptr_t{1} << 20)) entry = where->lo;
  for (std::size_t i = first; i < lines.size(); ++i) lines[i].offset = address - entry;
  return entry;
}

}  // namespace stray::profile
