// From a pc to its rule: module, sorted table of .eh_frame_hdr, entry (FDE) with its common part (CIE), and their two programs.
#include "profile/cfi.h"

#include <algorithm>
#include <cstring>
#include <link.h>

#include "base/modules.h"
#include "profile/cfi_read.h"
#include "profile/cfi_sections.h"
#include "profile/modules.h"

namespace stray::profile {

module_counters count_modules() noexcept {
  module_counters counters;
  base::each_module(
      [](dl_phdr_info* info, std::size_t, void* out) {
        *static_cast<module_counters*>(out) = {info->dlpi_adds, info->dlpi_subs};
        return 1;
      },
      &counters);
  return counters;
}

}  // namespace stray::profile

namespace stray::profile::cfi {

namespace {

// What a common information entry says.
struct common {
  std::uint64_t code_align = 1;
  std::int64_t data_align = 1;
  std::uint8_t pointer_encoding = 0;
  bool has_augmentation = false, signal_frame = false;
  std::uint8_t personality_encoding = 0xff;
  std::uintptr_t personality = 0;  // indirect: where it is stored
  std::uintptr_t program = 0, program_end = 0;
};

// The registers' places while a program runs.
struct row {
  std::uint8_t cfa_register = rsp;
  std::int32_t cfa_offset = 0;
  std::int16_t cfa_expression = -1;
  std::array<place, register_count> places{};
};

// An entry of .eh_frame: its body after the length word, and the offset of the CIE-pointer field.
byte_reader entry_at(std::uintptr_t at, std::uintptr_t end) {
  byte_reader r(at, end);
  std::uint64_t length = r.get<std::uint32_t>();
  if (length == 0xffffffff) length = r.get<std::uint64_t>();
  if (!r.ok() || length == 0 || length > r.left()) r.fail();
  return byte_reader(r.at(), r.ok() ? r.at() + length : r.at());
}

bool read_common(std::uintptr_t at, std::uintptr_t end, common& c) {
  byte_reader r = entry_at(at, end);
  if (r.get<std::uint32_t>() != 0) return false;
  auto version = r.get<std::uint8_t>();
  if (version != 1 && version != 3) return false;
  char augmentation[8] = {};
  for (unsigned i = 0;; ++i) {
    char ch = r.get<char>();
    if (!r.ok() || i == sizeof augmentation) return false;
    augmentation[i] = ch;
    if (ch == 0) break;
  }
  c.code_align = r.uleb();
  c.data_align = r.sleb();
  std::uint64_t ra = version == 1 ? r.get<std::uint8_t>() : r.uleb();
  if (ra != return_address) return false;
  if (augmentation[0] == 'z') {
    c.has_augmentation = true;
    std::uint64_t size = r.uleb();
    if (size > r.left()) return false;
    std::uintptr_t after = r.at() + size;
    for (const char* a = augmentation + 1; *a != 0; ++a) {
      if (*a == 'R') {
        c.pointer_encoding = r.get<std::uint8_t>();
      } else if (*a == 'P') {
        c.personality_encoding = r.get<std::uint8_t>();
        bool plain = (c.personality_encoding & 0x60) == 0;  // absolute or relative to its own place
        c.personality = r.pointer(c.personality_encoding & (plain ? 0x1f : 0x0f), 0);
        if (!plain) c.personality_encoding = 0, c.personality = unreadable_personality;
      } else if (*a == 'L') {
        r.get<std::uint8_t>();
      } else if (*a == 'S') {
        c.signal_frame = true;
      }
    }
    if (!r.ok() || r.at() > after) return false;
    r.skip(after - r.at());
  } else if (augmentation[0] != 0) {
    return false;
  }
  c.program = r.at();
  c.program_end = r.end();
  return r.ok();
}

class program {
 public:
  program(const common& c, std::uintptr_t pc, std::uintptr_t data_base, rule& out)
      : c_(c), pc_(pc), data_base_(data_base), out_(out) {}

  // Runs the instructions that apply up to pc. False on nonsense.
  bool run(std::uintptr_t from, std::uintptr_t to, std::uintptr_t start, const row* initial) {
    byte_reader r(from, to);
    std::uintptr_t at = start;
    while (r.more()) {
      auto op = r.get<std::uint8_t>();
      std::uint64_t low = op & 0x3f, reg = 0;
      switch (op >> 6) {
        case 1:
          if ((at += low * c_.code_align) > pc_) return true;
          continue;
        case 2:
          store(low, how::at_cfa, static_cast<std::int64_t>(r.uleb()) * c_.data_align);
          continue;
        case 3:
          restore(low, initial);
          continue;
        default:
          break;
      }
      switch (op) {
        case 0x00:
          break;
        case 0x01:
          if ((at = r.pointer(c_.pointer_encoding, data_base_)) > pc_) return r.ok();
          break;
        case 0x02:
          if ((at += r.get<std::uint8_t>() * c_.code_align) > pc_) return r.ok();
          break;
        case 0x03:
          if ((at += r.get<std::uint16_t>() * c_.code_align) > pc_) return r.ok();
          break;
        case 0x04:
          if ((at += r.get<std::uint32_t>() * c_.code_align) > pc_) return r.ok();
          break;
        case 0x05:
          reg = r.uleb();
          store(reg, how::at_cfa, static_cast<std::int64_t>(r.uleb()) * c_.data_align);
          break;
        case 0x06:
          restore(r.uleb(), initial);
          break;
        case 0x07:
          store(r.uleb(), how::undefined, 0);
          break;
        case 0x08:
          store(r.uleb(), how::same, 0);
          break;
        case 0x09:
          reg = r.uleb();
          store(reg, how::in_register, static_cast<std::int64_t>(r.uleb()));
          break;
        case 0x0a:
          if (depth_ == remembered_.size()) return false;
          remembered_[depth_++] = now_;
          break;
        case 0x0b:
          if (depth_ == 0) return false;
          now_ = remembered_[--depth_];
          break;
        case 0x0c:
          reg = r.uleb();
          set_cfa(reg, static_cast<std::int64_t>(r.uleb()));
          break;
        case 0x0d:
          set_cfa(r.uleb(), now_.cfa_offset);
          break;
        case 0x0e:
          set_cfa(now_.cfa_register, static_cast<std::int64_t>(r.uleb()));
          break;
        case 0x0f:
          now_.cfa_expression = expression(r);
          break;
        case 0x10:
          reg = r.uleb();
          store(reg, how::at_expression, expression(r));
          break;
        case 0x11:
          reg = r.uleb();
          store(reg, how::at_cfa, r.sleb() * c_.data_align);
          break;
        case 0x12:
          reg = r.uleb();
          set_cfa(reg, r.sleb() * c_.data_align);
          break;
        case 0x13:
          set_cfa(now_.cfa_register, r.sleb() * c_.data_align);
          break;
        case 0x14:
          reg = r.uleb();
          store(reg, how::is_cfa, static_cast<std::int64_t>(r.uleb()) * c_.data_align);
          break;
        case 0x15:
          reg = r.uleb();
          store(reg, how::is_cfa, r.sleb() * c_.data_align);
          break;
        case 0x16:
          reg = r.uleb();
          store(reg, how::is_expression, expression(r));
          break;
        case 0x2e:
          r.uleb();
          break;  // DW_CFA_GNU_args_size
        default:
          return false;
      }
      if (!good_) return false;
    }
    return r.ok() && good_;
  }
  const row& now() const { return now_; }

 private:
  void store(std::uint64_t reg, how kind, std::int64_t n) {
    if (n != static_cast<std::int32_t>(n)) good_ = false;
    if (reg < register_count) now_.places[reg] = {kind, static_cast<std::int32_t>(n)};  // vector registers do not matter here
  }
  void restore(std::uint64_t reg, const row* initial) {
    if (reg < register_count) now_.places[reg] = initial != nullptr ? initial->places[reg] : place{};
  }
  void set_cfa(std::uint64_t reg, std::int64_t offset) {
    if (reg >= return_address || offset != static_cast<std::int32_t>(offset)) good_ = false;
    now_.cfa_register = static_cast<std::uint8_t>(reg);
    now_.cfa_offset = static_cast<std::int32_t>(offset);
    now_.cfa_expression = -1;
  }
  std::int16_t expression(byte_reader& r) {
    std::uint64_t size = r.uleb();
    if (size > r.left() || size > 256 || out_.expressions.size() > 64) {
      good_ = false;
      return 0;
    }
    out_.expressions.emplace_back(reinterpret_cast<const char*>(r.at()), size);
    r.skip(size);
    return static_cast<std::int16_t>(out_.expressions.size() - 1);
  }

  const common& c_;
  const std::uintptr_t pc_, data_base_;
  rule& out_;
  row now_;
  std::array<row, 8> remembered_{};
  std::size_t depth_ = 0;
  bool good_ = true;
};

// The start of the FDE for pc by the sorted table of .eh_frame_hdr; 0: none.
std::uintptr_t search_table(std::uintptr_t header, std::uintptr_t end, std::uintptr_t pc) {
  byte_reader r(header, end);
  auto version = r.get<std::uint8_t>();
  auto frame_encoding = r.get<std::uint8_t>(), count_encoding = r.get<std::uint8_t>(), table_encoding = r.get<std::uint8_t>();
  if (!r.ok() || version != 1 || table_encoding != 0x3b) return 0;  // what ld, gold, lld and mold write
  r.pointer(frame_encoding, header);
  std::uint64_t count = r.pointer(count_encoding, header);
  if (!r.ok() || count == 0 || count > r.left() / 8) return 0;
  std::uintptr_t table = r.at();
  auto word = [&](std::uint64_t i, unsigned column) {
    std::int32_t value;
    std::memcpy(&value, reinterpret_cast<const void*>(table + i * 8 + column * 4), 4);
    return header + static_cast<std::uintptr_t>(std::int64_t{value});
  };
  if (pc < word(0, 0)) return 0;
  std::uint64_t lo = 0, hi = count;
  while (hi - lo > 1) {
    std::uint64_t mid = (lo + hi) / 2;
    (word(mid, 0) <= pc ? lo : hi) = mid;
  }
  return word(lo, 1);
}

struct segment {
  std::uintptr_t lo = 0, hi = 0;
  bool holds(std::uintptr_t a) const { return a >= lo && a < hi; }
};

// What stands before the program of an FDE; false when it is none.
struct description {
  common shared;
  std::uintptr_t start = 0, size = 0, program = 0, program_end = 0;
};
bool read_description(std::uintptr_t at, segment readable, std::uintptr_t data_base, description& d) {
  if (!readable.holds(at)) return false;
  byte_reader fde = entry_at(at, readable.hi);
  std::uintptr_t field = fde.at();
  auto back = fde.get<std::uint32_t>();
  if (!fde.ok() || back == 0 || !readable.holds(field - back) || !read_common(field - back, readable.hi, d.shared))
    return false;
  d.start = fde.pointer(d.shared.pointer_encoding, data_base);
  d.size = fde.pointer(d.shared.pointer_encoding & 0x0f, 0);
  if (d.shared.has_augmentation) fde.skip(fde.uleb());
  d.program = fde.at();
  d.program_end = fde.end();
  return fde.ok();
}

// All FDEs of a table without index, sorted; made once, for the program itself.
struct indexed_entry {
  std::uintptr_t start, at;
};
struct own_table {
  segment readable;
  std::vector<indexed_entry> entries;
};
own_table make_own_table(std::uintptr_t bias) {
  own_table t;
  memory_range range = find_eh_frame(bias);
  t.readable = {range.lo, range.hi};
  std::uintptr_t at = range.lo;
  while (at < range.hi) {
    byte_reader entry = entry_at(at, range.hi);
    if (!entry.ok() || entry.at() == entry.end()) break;  // the zero word at the end
    description d;
    if (read_description(at, t.readable, 0, d)) t.entries.push_back({d.start, at});
    at = entry.end();
  }
  std::sort(t.entries.begin(), t.entries.end(),
            [](const indexed_entry& a, const indexed_entry& b) { return a.start < b.start; });
  return t;
}

// indirect: out.personality is where the address is stored.
std::optional<rule> rule_of(std::uintptr_t at, segment readable, std::uintptr_t header, std::uintptr_t pc, bool& indirect) {
  description d;
  if (!read_description(at, readable, header, d) || pc - d.start >= d.size) return std::nullopt;
  const common& c = d.shared;
  rule out;
  program p(c, pc, header, out);
  // The CIE's own program holds at every pc of the function.
  if (!p.run(c.program, c.program_end, d.start, nullptr)) return std::nullopt;
  row initial = p.now();
  if (!p.run(d.program, d.program_end, d.start, &initial)) return std::nullopt;
  const row& now = p.now();
  out.signal_frame = c.signal_frame;
  out.cfa_register = now.cfa_register;
  out.cfa_offset = now.cfa_offset;
  out.cfa_expression = now.cfa_expression;
  out.personality = c.personality;
  indirect = c.personality_encoding != 0xff && (c.personality_encoding & 0x80) != 0;
  for (std::uint8_t i = 0; i < register_count; ++i)
    if (now.places[i].kind != how::same) out.saved[out.saved_count++] = {i, now.places[i]};
  return out;
}

struct query {
  std::uintptr_t pc;
  std::optional<rule> result;
  std::exception_ptr failure;
};

// Follows the indirection inside the module.
std::uintptr_t stored_personality(const dl_phdr_info* info, std::uintptr_t at) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& ph = info->dlpi_phdr[i];
    std::uintptr_t lo = info->dlpi_addr + ph.p_vaddr;
    if (ph.p_type != PT_LOAD || (ph.p_flags & PF_R) == 0 || at < lo || at - lo >= ph.p_memsz) continue;
    if (ph.p_memsz - (at - lo) < sizeof(std::uintptr_t)) break;
    std::uintptr_t value;
    std::memcpy(&value, reinterpret_cast<const void*>(at), sizeof value);
    return value == 0 ? unreadable_personality : value;
  }
  return unreadable_personality;
}

std::optional<rule> rule_in_program(std::uintptr_t bias, std::uintptr_t pc, bool& indirect) {
  static const own_table* table = new own_table(make_own_table(bias));
  auto after = std::upper_bound(table->entries.begin(), table->entries.end(), pc,
                                [](std::uintptr_t a, const indexed_entry& e) { return a < e.start; });
  return after == table->entries.begin() ? std::nullopt : rule_of(after[-1].at, table->readable, 0, pc, indirect);
}

int visit(dl_phdr_info* info, std::size_t, void* arg) {
  auto& q = *static_cast<query*>(arg);
  bool holds_pc = false;
  std::uintptr_t header = 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& ph = info->dlpi_phdr[i];
    if (ph.p_type == PT_LOAD && (ph.p_flags & PF_X) != 0 && q.pc - (info->dlpi_addr + ph.p_vaddr) < ph.p_memsz) holds_pc = true;
    if (ph.p_type == PT_GNU_EH_FRAME) header = info->dlpi_addr + ph.p_vaddr;
  }
  if (!holds_pc) return 0;
  segment readable;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& ph = info->dlpi_phdr[i];
    segment s{info->dlpi_addr + ph.p_vaddr, info->dlpi_addr + ph.p_vaddr + ph.p_memsz};
    if (ph.p_type == PT_LOAD && (ph.p_flags & PF_R) != 0 && header != 0 && s.holds(header)) readable = s;
  }
  bool indirect = false;
  try {
    if (readable.holds(header))
      q.result = rule_of(search_table(header, readable.hi, q.pc), readable, header, q.pc, indirect);
    else if (header == 0 && (info->dlpi_name == nullptr || info->dlpi_name[0] == 0))
      q.result = rule_in_program(info->dlpi_addr, q.pc, indirect);
    if (q.result && indirect) q.result->personality = stored_personality(info, q.result->personality);
  } catch (...) {  // no exception may cross the dynamic linker's frame
    q.failure = std::current_exception();
  }
  return 1;
}

}  // namespace

std::optional<rule> find_rule(std::uintptr_t pc) {
  query q{pc, std::nullopt, nullptr};
  base::each_module(visit, &q);
  if (q.failure != nullptr) std::rethrow_exception(q.failure);
  return std::move(q.result);
}

}  // namespace stray::profile::cfi
