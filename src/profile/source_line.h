// What is known of an instruction's place in the source.
#pragma once

#include <cstdint>
#include <string>

namespace stray::profile {

struct source_line {
  std::string function;     // demangled; the module's "name+0xOFF" when there is no symbol
  std::string system_name;  // mangled
  std::string file;         // empty when unknown
  int line = 0;
  int start_line = 0;         // of the function
  std::uintptr_t offset = 0;  // pc - start of the (outermost, physical) function; what "+0x" prints
};

}  // namespace stray::profile
