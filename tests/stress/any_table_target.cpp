// Whatever bytes stand where call frame information should: rules are found or not, frames are stepped or not, and nothing outside of the
// table and the stack is read. The bytes are copied to the end of a page behind which nothing can be read, and to the beginning of one.
// A fuzzer's target: clang++ -std=c++20 -g -fsanitize=fuzzer,address,undefined -Isrc tests/stress/any_table_target.cpp
//   src/base/{cfi,cfi_step}.cpp
// The first byte says what the rest is: an .eh_frame section, or an .eh_frame_hdr with what it points at.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

#include "base/cfi.h"

using namespace stray::base;

namespace {

constexpr std::size_t room = 1 << 16, stack_bytes = 4096;

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "a table breaks it: %s\n", what);
  std::abort();
}

// [PROT_NONE][room][PROT_NONE][stack][PROT_NONE]
struct place {
  char* table;
  char* stack;
  place() {
    void* all = mmap(nullptr, 3 * 4096 + room + stack_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) std::abort();
    table = static_cast<char*>(all) + 4096;
    stack = table + room + 4096;
    mprotect(table, room, PROT_READ | PROT_WRITE);
    mprotect(stack, stack_bytes, PROT_READ | PROT_WRITE);
  }
};

// Follows the rule for as long as it leads up; every word of the stack is the address of another one.
void follow(const cfi::rule& rule, const place& at) {
  const auto lo = reinterpret_cast<std::uintptr_t>(at.stack);
  cfi::frame f;
  for (unsigned i = 0; i < cfi::register_count; i++) f.set(i, lo + 8 * i);
  f.set(cfi::rsp, lo);
  std::uintptr_t last = 0;
  for (int n = 0; n < 2000 && cfi::step(rule, f, {lo, lo + stack_bytes, 0}); n++) {
    must(last <= lo + stack_bytes, "there is no step from outside of the window");
    must(f.value[cfi::rsp] > last, "stack pointers grow");
    last = f.value[cfi::rsp];
  }
}

void look(std::uintptr_t from, std::size_t size, bool with_header, const place& at) {
  const range section{from, from + size};
  cfi::rule rule;
  if (with_header) {
    for (std::uintptr_t pc : {from, from + size / 2, section.hi, std::uintptr_t{0}, ~std::uintptr_t{0}})
      if (cfi::find_rule({section, from}, pc, rule)) follow(rule, at);
    return;
  }
  std::uintptr_t entry = from, start = 0;
  for (std::size_t n = 0; entry < section.hi; n++) {
    must(n <= size, "entries end");
    const std::uintptr_t here = entry;
    if (!cfi::next_entry(section, entry, start)) break;
    must(entry > here && entry <= section.hi, "the next entry lies behind this one, in the section");
    for (std::uintptr_t pc : {start, start + 1, start + 100})
      if (cfi::rule_of_entry(section, here, pc, rule)) follow(rule, at);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const place at;
  if (size < 2) return 0;
  const bool with_header = (data[0] & 1) != 0;
  data++, size = std::min(size - 1, room);
  auto* words = reinterpret_cast<std::uintptr_t*>(at.stack);
  for (std::size_t i = 0; i < stack_bytes / 8; i++) {
    const std::size_t to = i % 3 != 0 ? i + 1 + i % 7 : i * 5 % (stack_bytes / 8);
    words[i] = reinterpret_cast<std::uintptr_t>(at.stack) + 8 * to;
  }
  for (char* where : {at.table + room - size, at.table}) {
    std::memset(at.table, 0, room);
    std::memcpy(where, data, size);
    look(reinterpret_cast<std::uintptr_t>(where), size, with_header, at);
  }
  return 0;
}
