// Where in the code of this process std::terminate is called.
//
// 1. g++ makes of a noexcept function that has something to destroy at a call a cleanup like any other, and ends it by a call of std::terminate.
//    The personality routine sees a cleanup, and goes on; so dry_run asks for that call.
// 2. A function is asked as a whole, with its cold part: which of its cleanups belongs to which call would take the exception tables and a
//    disassembler. So one that calls std::terminate for another reason (the destructor of a std::thread, inlined) counts, too.
// 3. By its bytes, at every offset, as in trace/stack_switches.h: no call is overlooked, and one in some 2^32 is found that is none.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/address_space.h"

namespace stray::leak {

class terminate_calls {
 public:
  // Of the modules that are loaded now.
  terminate_calls();
  // pc: a return address in the function. Each function is read once.
  bool in_function_of(std::uintptr_t pc);

 private:
  bool in_function(base::range code) const;
  bool in_code(base::range code, std::vector<base::range>* cold_parts) const;
  bool is_terminate(std::uintptr_t target) const;
  bool is_slot(std::uintptr_t at) const;
  bool is_code(std::uintptr_t at, std::size_t bytes) const;

  std::vector<base::range> text_;
  std::vector<std::uintptr_t> slots_;               // through which modules call it
  std::unordered_map<std::uintptr_t, bool> known_;  // by where a function begins
};

}  // namespace stray::leak
