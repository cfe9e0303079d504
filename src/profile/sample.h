// What the profile writers turn into bytes: plain values, made by src/leak, that know nothing of channels.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace stray::profile {

struct label {
  std::string key, value;
  auto operator<=>(const label&) const = default;
};

// One group of goroutines with the same stack (debug=0 and debug=1).
struct sample {
  std::vector<std::uintptr_t> pcs;  // return addresses, leaf first: pcs[0] lies in stray::runtime::park
  std::vector<label> labels;        // the user's, sorted by key
  std::int64_t count = 0;           // goroutines
  std::int64_t bytes = 0;           // bytes retained by them
  // Leak profiles only; empty or 0 otherwise. Of the oldest member.
  std::string wait_reason, tier, created_by, cause;
  std::vector<std::string> called_by;  // who led to created_by, innermost first
  std::int64_t blocked_since = 0;      // unix seconds
};

// One goroutine or OS thread (debug=2).
struct stack_entry {
  std::uint64_t id = 0;      // goroutine id; for a plain OS thread its TID
  std::string thread_name;   // set for an OS thread: the header is `thread TID (name)` instead of `goroutine ID`
  std::string state;         // "chan receive", "chan receive (leaked)", "running", ...
  std::int64_t minutes = 0;  // printed when > 0
  bool locked_to_thread = false;
  std::vector<label> labels;
  std::vector<std::uintptr_t> pcs;   // return addresses, leaf first; empty: the stack could not be read
  std::string no_stack;              // why, when pcs is empty ("goroutine running on other thread; stack unavailable")
  std::uintptr_t created_by_pc = 0;  // return address in the creator; 0: none
  std::uint64_t creator_id = 0;
};

// What was collected, and why it may lack something: one reason an element, none when everything was judged. An empty list with a reason is
// not "nothing leaked". likely: who is not in the list, being no more than likely, and why; one doubt an element.
template <class T>
struct collection {
  std::vector<T> list;
  std::vector<std::string> incomplete, likely = {};
};

}  // namespace stray::profile
