// One module's functions by address, out of its DWARF.
//
// 1. A compilation unit is looked for in .debug_aranges, and must hold the address by its own ranges too. Where that finds none (clang writes
//    no such section, and an entry may be of a function that the linker dropped) the ranges of all units are read, once: 0.1 ms a unit.
// 2. A unit's tree is walked once, at its first question, and kept as ranges; dwarf_getscopes would walk it at each question (5-10 ms in a
//    big unit). Classes outside of functions are left out, unless nothing else holds the address: they are most of a unit, and compilers put
//    the bodies of their members beside them.
// 3. Addresses are the module's (pc - bias). Lives as long as its Dwfl_Module. Guarded by the caller's lock.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <elfutils/libdw.h>

#include "profile/source_line.h"

namespace stray::profile {

class dwarf_index {
 public:
  // dwarf may be nullptr: a module without debug information. files: of the module, by which its other parts are found.
  dwarf_index(Dwarf* dwarf, std::vector<std::string> files) : dwarf_(dwarf), files_(std::move(files)) {}

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
    bool refused = false;  // its other half is no regular file: it describes nothing
    int walked = 0;        // 1: but for classes outside of functions; 2: all
    std::vector<Dwarf_Die> functions;
    std::vector<span> spans;
  };

  unit& unit_of(Dwarf_CU* cu);
  unit* unit_at(std::uintptr_t address);
  Dwarf_CU* cu_at(std::uintptr_t address);
  void list_units();
  // The line with its three fields of the name set.
  const source_line& named(Dwarf_Die* function);
  void walk(unit& u, Dwarf_Die* parent, bool classes, int depth);
  const span* function_at(unit& u, std::uintptr_t address);
  std::string path(const unit& u, const char* file) const;
  void call_site(const unit& u, Dwarf_Die* inlined, source_line& line) const;
  static void sort(std::vector<span>& spans);
  static const span* find(const std::vector<span>& spans, std::uintptr_t address);

  Dwarf* dwarf_;
  const std::vector<std::string> files_;
  std::unordered_map<Dwarf_CU*, unit> units_;  // those asked for
  bool all_listed_ = false;
  std::vector<Dwarf_CU*> listed_;
  std::vector<span> unit_spans_;                        // owner: in listed_
  std::unordered_map<const void*, source_line> names_;  // by the address of the function's origin
};

}  // namespace stray::profile
