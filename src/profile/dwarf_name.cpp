// Walks scopes and sums of siblings only where the linkage name is missing.
#include "profile/dwarf_name.h"

#include <algorithm>
#include <dwarf.h>
#include <string_view>
#include <utility>
#include <vector>

#include "profile/names.h"

namespace stray::profile {

namespace {

const char* text_of(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  return dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
}

int number_of(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  return dwarf_formudata(dwarf_attr_integrate(die, name, &attribute), &value) == 0 ? static_cast<int>(value) : 0;
}

bool is_class(int tag) { return tag == DW_TAG_class_type || tag == DW_TAG_structure_type; }

const char* linkage_name(Dwarf_Die* function) {
  const char* name = text_of(function, DW_AT_linkage_name);
  if (name == nullptr) name = text_of(function, DW_AT_MIPS_linkage_name);
  if (name == nullptr) {  // assembly: the assembler knows only the symbol
    name = dwarf_diename(function);
    if (name != nullptr && !std::string_view(name).starts_with("_Z")) name = nullptr;
  }
  return name;
}

int parameters(Dwarf_Die* function) {
  int n = 0;
  Dwarf_Die child;
  Dwarf_Attribute attribute;
  if (dwarf_child(function, &child) != 0) return 0;
  do {
    if (dwarf_tag(&child) == DW_TAG_formal_parameter && dwarf_attr(&child, DW_AT_artificial, &attribute) == nullptr) ++n;
  } while (dwarf_siblingof(&child, &child) == 0);
  return n;
}

// The call operator of an unnamed class: its parameters; -1: this is no closure.
int closure_parameters(Dwarf_Die* type) {
  Dwarf_Die child;
  if (!is_class(dwarf_tag(type)) || dwarf_diename(type) != nullptr || dwarf_child(type, &child) != 0) return -1;
  do {
    const char* name = dwarf_tag(&child) == DW_TAG_subprogram ? dwarf_diename(&child) : nullptr;
    if (name != nullptr && std::string_view(name).starts_with("operator()")) return parameters(&child);
  } while (dwarf_siblingof(&child, &child) == 0);
  return -1;
}

using source_place = std::pair<int, int>;
source_place place_of(Dwarf_Die* die) { return {number_of(die, DW_AT_decl_line), number_of(die, DW_AT_decl_column)}; }

int closures_before(Dwarf_Die* scope, source_place limit, int with_parameters, int depth) {
  int n = 0;
  Dwarf_Die child;
  if (depth > 100 || dwarf_child(scope, &child) != 0) return 0;
  do {
    if (dwarf_tag(&child) == DW_TAG_lexical_block)
      n += closures_before(&child, limit, with_parameters, depth + 1);
    else if (closure_parameters(&child) == with_parameters && place_of(&child) < limit)
      ++n;
  } while (dwarf_siblingof(&child, &child) == 0);
  return n;
}

std::string closure_name(Dwarf_Die* type, Dwarf_Die* function, int count) {
  int before = function != nullptr ? closures_before(function, place_of(type), count, 0) : 0;
  return std::string(count == 0 ? "{lambda()#" : "{lambda(...)#") + std::to_string(before + 1) + "}";
}

// The entry and those around it, innermost first, without the unit. Entries lie in the order of a walk, parents before children: of each
// level only the siblings are stepped over, by their DW_AT_sibling. dwarf_getscopes_die visits all that stands before the entry.
std::vector<Dwarf_Die> scopes_of(const Dwarf_Die& die) {
  std::vector<Dwarf_Die> path;
  Dwarf_Die at, next;
  if (dwarf_cu_die(die.cu, &next, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr) == nullptr) return {die};
  while (next.addr != die.addr && dwarf_child(&next, &at) == 0) {
    do {
      next = at;
    } while (dwarf_siblingof(&next, &at) == 0 && at.addr <= die.addr);
    path.push_back(next);
  }
  std::reverse(path.begin(), path.end());
  return path;
}

std::string function_scope(Dwarf_Die* function) {
  if (const char* linkage = linkage_name(function)) {
    std::string text = demangle(linkage);
    std::string_view name = function_name(text);
    return text.substr(static_cast<std::size_t>(name.data() - text.data()));  // from the name on, with its parameters
  }
  const char* name = dwarf_diename(function);
  std::string text = name != nullptr ? limited(name) : "{unnamed}";
  if (text == "main") return text;
  if (text.starts_with("operator()")) return text + (parameters(function) == 0 ? "() const" : "(...) const");
  return text + (parameters(function) == 0 ? "()" : "(...)");
}

}  // namespace

Dwarf_Die origin_of(Dwarf_Die die) {
  Dwarf_Die next;
  Dwarf_Attribute attribute;
  for (int i = 0; i < 4; ++i) {
    bool moved = false;
    for (unsigned link : {DW_AT_abstract_origin, DW_AT_specification})
      if (dwarf_formref_die(dwarf_attr(&die, link, &attribute), &next) != nullptr) {
        die = next;
        moved = true;
        break;
      }
    if (!moved) break;
  }
  return die;
}

void name_function(Dwarf_Die* function, source_line& line) {
  line.start_line = number_of(function, DW_AT_decl_line);
  if (const char* linkage = linkage_name(function)) {
    line.system_name = linkage;
    line.function = function_name(demangle(linkage));
    if (line.start_line != 0) return;
  }
  Dwarf_Die origin = origin_of(*function);
  std::vector<Dwarf_Die> scopes = scopes_of(origin);
  // The class of a member function, and what is around it, is around the declaration.
  for (std::size_t i = 1; i < scopes.size() && i < 100; ++i) {
    if (dwarf_tag(&scopes[i]) != DW_TAG_subprogram) continue;
    Dwarf_Die declared = origin_of(scopes[i]);
    if (declared.addr == scopes[i].addr) continue;
    std::vector<Dwarf_Die> around = scopes_of(declared);
    scopes.resize(i + 1);
    scopes.insert(scopes.end(), around.begin() + 1, around.end());
  }
  std::size_t n = scopes.size();
  if (line.start_line == 0 && n > 1 && is_class(dwarf_tag(&scopes[1])))
    line.start_line = number_of(&scopes[1], DW_AT_decl_line);
  const char* plain = text_of(function, DW_AT_name);
  if (line.function.empty() && plain != nullptr) {
    line.system_name = limited(plain);
    line.function = line.system_name;
    for (std::size_t i = 1; i < n; ++i) {
      int tag = dwarf_tag(&scopes[i]);
      const char* name = dwarf_diename(&scopes[i]);
      std::string scope;
      if (tag == DW_TAG_subprogram) {
        scope = function_scope(&scopes[i]);
      } else if (tag == DW_TAG_namespace) {
        scope = name != nullptr ? limited(name) : "(anonymous namespace)";
      } else if (is_class(tag)) {
        Dwarf_Die* around = nullptr;
        for (std::size_t k = i + 1; k < n && around == nullptr; ++k)
          if (dwarf_tag(&scopes[k]) == DW_TAG_subprogram) around = &scopes[k];
        int count = closure_parameters(&scopes[i]);
        scope = count >= 0 ? closure_name(&scopes[i], around, count) : name != nullptr ? limited(name) : "{unnamed}";
      } else {
        continue;
      }
      line.function = scope + "::" + line.function;
      if (tag == DW_TAG_subprogram && linkage_name(&scopes[i]) != nullptr) break;  // its text has the outer scopes
    }
  }
}

}  // namespace stray::profile
