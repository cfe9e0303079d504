// Addresses to function, file and line, by libdw; cached by pc. Any thread; may allocate and lock.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "profile/source_line.h"

namespace stray::profile {

// The lines of the instruction at `pc` (a return address minus 1), innermost inlined frame first; never empty.
const std::vector<source_line>& symbolize(std::uintptr_t pc);

// Processor time that the calling thread has spent on addresses which were asked for the first time: in all that is bounded by the program.
std::int64_t time_spent_learning_ns() noexcept;

// The last of them, for an address that anybody may ask for: it leaves nothing in the cache.
source_line physical_line(std::uintptr_t pc);

// In the child of a fork, which has one thread: what another one had locked is not waited for.
void forget_symbols();

// What reports have to say of the names in them: debug files that are there, and of another build. One line each, once for the process.
std::vector<std::string> symbol_notes();

// The global or static object that an address lies in, demangled; empty: none known.
std::string data_symbol(std::uintptr_t address);

// "libfoo.so+0x1234": the module that an address lies in, its variables included, and how far from its beginning; empty: none.
std::string module_offset(std::uintptr_t address);

struct mapping {
  std::uintptr_t start = 0, limit = 0, offset = 0;
  std::string file, build_id;
};
// Every executable mapping of the process; the first is the program itself.
std::vector<mapping> mappings();

// Is the line inside the runtime (function in namespace stray:: but not in a user's code), or a std invoke helper?
bool is_runtime(const source_line& line);
bool is_invoke_helper(const source_line& line);

// The lines of a stack that a person should see (leaf first): leaf-side runtime lines and root-side runtime and invoke-helper lines are
// dropped, by line, unless nothing would remain (docs/design/endpoint-and-tool.md).
struct shown_line {
  std::uintptr_t pc = 0;  // return address minus 1
  const source_line* line = nullptr;
};
std::vector<shown_line> shown_lines(const std::vector<std::uintptr_t>& return_addresses);

// Who started a goroutine, and who led to that, innermost first, at most three: the first is what shown_lines begins with, the others are
// the user's, too, and neither std's nor a test framework's, nor of a module that is there no more.
std::vector<shown_line> shown_creators(const std::vector<std::uintptr_t>& return_addresses);

}  // namespace stray::profile
