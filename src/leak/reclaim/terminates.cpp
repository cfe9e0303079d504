#include "leak/reclaim/terminates.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <link.h>
#include <optional>
#include <string_view>

#include "base/modules.h"
#include "profile/cfi.h"

namespace stray::leak {

namespace {

constexpr std::size_t largest_function = 1 << 20;

bool ends_the_process(std::string_view symbol) noexcept {
  return symbol == "_ZSt9terminatev" || symbol == "__cxa_call_terminate" || symbol == "__cxa_call_unexpected";
}

struct found {
  std::vector<base::range> text;
  std::vector<std::uintptr_t> slots;
};

// The dynamic linker has added the bias to most of these, not to all.
template <class T>
const T* table_at(ElfW(Addr) at, ElfW(Addr) bias) noexcept {
  return reinterpret_cast<const T*>(at < bias ? at + bias : at);
}

void add_slots(const ElfW(Dyn) * dynamic, ElfW(Addr) bias, found& out) {
  const ElfW(Sym)* symbols = nullptr;
  const char* names = nullptr;
  struct {
    const ElfW(Rela) * at;
    std::size_t bytes;
  } lists[2] = {};  // of data, of the linkage table
  for (; dynamic->d_tag != DT_NULL; dynamic++) {
    const ElfW(Addr) value = dynamic->d_un.d_ptr;
    if (dynamic->d_tag == DT_SYMTAB) symbols = table_at<ElfW(Sym)>(value, bias);
    if (dynamic->d_tag == DT_STRTAB) names = table_at<char>(value, bias);
    if (dynamic->d_tag == DT_RELA) lists[0].at = table_at<ElfW(Rela)>(value, bias);
    if (dynamic->d_tag == DT_RELASZ) lists[0].bytes = value;
    if (dynamic->d_tag == DT_JMPREL) lists[1].at = table_at<ElfW(Rela)>(value, bias);
    if (dynamic->d_tag == DT_PLTRELSZ) lists[1].bytes = value;
  }
  if (symbols == nullptr || names == nullptr) return;
  for (const auto& list : lists) {
    for (std::size_t i = 0; list.at != nullptr && i < list.bytes / sizeof *list.at; i++) {
      const std::size_t symbol = ELF64_R_SYM(list.at[i].r_info);
      if (symbol != 0 && ends_the_process(names + symbols[symbol].st_name)) out.slots.push_back(bias + list.at[i].r_offset);
    }
  }
}

int visit(dl_phdr_info* info, std::size_t, void* arg) noexcept {
  auto& out = *static_cast<found*>(arg);
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const auto& ph = info->dlpi_phdr[i];
    const std::uintptr_t lo = info->dlpi_addr + ph.p_vaddr;
    if (ph.p_type == PT_LOAD && (ph.p_flags & PF_X) != 0 && (ph.p_flags & PF_R) != 0) out.text.push_back({lo, lo + ph.p_memsz});
    if (ph.p_type == PT_DYNAMIC) add_slots(reinterpret_cast<const ElfW(Dyn)*>(lo), info->dlpi_addr, out);
  }
  return 0;
}

std::uintptr_t from(std::uintptr_t next, const unsigned char* distance) noexcept {
  std::int32_t d;
  std::memcpy(&d, distance, sizeof d);
  return next + static_cast<std::uintptr_t>(static_cast<std::int64_t>(d));
}

}  // namespace

terminate_calls::terminate_calls() {
  found all;
  base::each_module(visit, &all);
  text_ = std::move(all.text);
  slots_ = std::move(all.slots);
  std::sort(slots_.begin(), slots_.end());
}

bool terminate_calls::is_slot(std::uintptr_t at) const { return std::binary_search(slots_.begin(), slots_.end(), at); }

bool terminate_calls::is_code(std::uintptr_t at, std::size_t bytes) const {
  return std::any_of(text_.begin(), text_.end(), [&](base::range t) { return t.holds(at) && t.hi - at >= bytes; });
}

// Itself, or an entry of a linkage table: `endbr64`, a prefix, `jmp *slot`.
bool terminate_calls::is_terminate(std::uintptr_t target) const {
  if (target == reinterpret_cast<std::uintptr_t>(static_cast<void (*)() noexcept>(&std::terminate))) return true;
  constexpr std::size_t longest = 4 + 1 + 6;
  if (!is_code(target, longest)) return false;
  const auto* code = reinterpret_cast<const unsigned char*>(target);
  constexpr unsigned char endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
  std::size_t i = std::memcmp(code, endbr64, sizeof endbr64) == 0 ? sizeof endbr64 : 0;
  if (code[i] == 0xf2) i++;
  return code[i] == 0xff && code[i + 1] == 0x25 && is_slot(from(target + i + 6, code + i + 2));
}

// cold_parts: where jumps out of it lead; null: not asked for.
bool terminate_calls::in_code(base::range where, std::vector<base::range>* cold_parts) const {
  if (where.size() > largest_function || !is_code(where.lo, where.size())) return true;
  const auto* code = reinterpret_cast<const unsigned char*>(where.lo);
  for (std::size_t i = 0; i + 5 <= where.size(); i++) {
    const bool call = code[i] == 0xe8, jump = code[i] == 0xe9, conditional = code[i] == 0x0f && (code[i + 1] & 0xf0) == 0x80;
    if ((call || jump) && is_terminate(from(where.lo + i + 5, code + i + 1))) return true;
    const bool whole = i + 6 <= where.size();
    const bool by_slot = whole && code[i] == 0xff && (code[i + 1] == 0x15 || code[i + 1] == 0x25);
    if (by_slot && is_slot(from(where.lo + i + 6, code + i + 2))) return true;
    if (cold_parts == nullptr || !(jump || (conditional && whole))) continue;
    const std::uintptr_t target = jump ? from(where.lo + i + 5, code + i + 1) : from(where.lo + i + 6, code + i + 2);
    if (where.holds(target) || !is_code(target, 1)) continue;
    const bool known = std::any_of(cold_parts->begin(), cold_parts->end(), [&](base::range r) { return r.holds(target); });
    if (known) continue;
    if (std::optional<profile::cfi::rule> rule = profile::cfi::find_rule(target))
      cold_parts->push_back({rule->start, rule->start + rule->size});
  }
  return false;
}

bool terminate_calls::in_function_of(std::uintptr_t pc) {
  std::optional<profile::cfi::rule> rule = profile::cfi::find_rule(pc - 1);
  if (!rule) return true;
  auto [at, fresh] = known_.try_emplace(rule->start, true);
  if (fresh) at->second = in_function({rule->start, rule->start + rule->size});
  return at->second;
}

bool terminate_calls::in_function(base::range code) const {
  std::vector<base::range> cold_parts;
  if (in_code(code, &cold_parts)) return true;
  return std::any_of(cold_parts.begin(), cold_parts.end(), [&](base::range r) { return in_code(r, nullptr); });
}

}  // namespace stray::leak
