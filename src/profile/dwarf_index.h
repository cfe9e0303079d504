// One module's functions by address, out of its DWARF.
//
// 1. Compilation units are found by their own ranges: .debug_aranges is not trusted, clang does not write it.
// 2. A unit's tree is walked once, at its first question, and kept as ranges; dwarf_getscopes would walk it at each question (5-10 ms in a
//    big unit).
// 3. Addresses are the module's (pc - bias). Lives as long as its Dwfl_Module. Guarded by the caller's lock.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include <elfutils/libdw.h>

#include "profile/symbolize.h"

namespace stray::profile {

class dwarf_index {
 public:
  // dwarf may be nullptr: a module without debug information.
  explicit dwarf_index(Dwarf* dwarf);

  // Appends the lines of the address, innermost first, and gives the start of the physical function; 0 and nothing: not described.
  std::uintptr_t lines_at(std::uintptr_t address, std::vector<source_line>& lines);

 private:
  struct span {
    std::uintptr_t lo, hi;
    std::size_t owner;
  };
  struct unit {
    Dwarf_Die die{};   // the one with lines and files
    Dwarf_Die tree{};  // the one with functions: of a split unit its other half
    std::string directory;
    bool walked = false;
    std::vector<Dwarf_Die> functions;
    std::vector<span> spans;
  };

  // The line with its three fields of the name set.
  const source_line& named(Dwarf_Die* function);
  void walk(unit& u, Dwarf_Die* parent, int depth);
  std::string path(const unit& u, const char* file) const;
  void call_site(const unit& u, Dwarf_Die* inlined, source_line& line) const;
  static void sort(std::vector<span>& spans);
  static const span* find(const std::vector<span>& spans, std::uintptr_t address);

  std::vector<unit> units_;
  std::vector<span> unit_spans_;
  std::unordered_map<const void*, source_line> names_;  // by the address of the function's origin
};

}  // namespace stray::profile
