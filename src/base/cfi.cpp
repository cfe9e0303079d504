// From a pc to its rule: sorted table of .eh_frame_hdr, entry (FDE) with its common part (CIE), and their two programs. Pure.
#include "base/cfi.h"
#include "base/cfi_read.h"

namespace stray::base::cfi {

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

// The registers' places while a program runs. Small enough to be copied without a call.
struct row {
  std::uint8_t cfa_register = rsp;
  bool cfa_is_expression = false;
  std::int32_t cfa_offset = 0;
  std::int32_t n[register_count] = {};
  how kind[register_count] = {};
};
static_assert(sizeof(row) <= 128);

constexpr std::uint64_t most_entry = 1 << 20;  // bytes of an entry: the longest of real ones have some thousand

// An entry of .eh_frame: its body after the length word, and the offset of the CIE-pointer field.
byte_reader entry_at(std::uintptr_t at, std::uintptr_t end) noexcept {
  byte_reader r(at, end);
  std::uint64_t length = r.get<std::uint32_t>();
  if (length == 0xffffffff) length = r.get<std::uint64_t>();
  if (!r.ok() || length == 0 || length > r.left() || length > most_entry) r.fail();
  return byte_reader(r.at(), r.ok() ? r.at() + length : r.at());
}

bool read_common(std::uintptr_t at, std::uintptr_t end, common& c) noexcept {
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
  program(const common& c, std::uintptr_t pc, std::uintptr_t data_base, std::uintptr_t code) noexcept
      : c_(c), pc_(pc), data_base_(data_base), code_(code) {}

  // Runs the instructions that apply up to pc. False on nonsense.
  bool run(std::uintptr_t from, std::uintptr_t to, std::uintptr_t start, const row* initial) noexcept {
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
          if (depth_ == most_remembered) return false;
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
          now_.cfa_offset = expression(r);
          now_.cfa_is_expression = true;
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
  const row& now() const noexcept { return now_; }

 private:
  void store(std::uint64_t reg, how kind, std::int64_t n) noexcept {
    if (n != static_cast<std::int32_t>(n)) good_ = false;
    if (reg < register_count) put(reg, kind, static_cast<std::int32_t>(n));  // vector registers do not matter here
  }
  void restore(std::uint64_t reg, const row* initial) noexcept {
    if (reg >= register_count) return;
    put(reg, initial != nullptr ? initial->kind[reg] : how::same, initial != nullptr ? initial->n[reg] : 0);
  }
  void put(std::uint64_t reg, how kind, std::int32_t n) noexcept {
    now_.kind[reg] = kind;
    now_.n[reg] = n;
  }
  void set_cfa(std::uint64_t reg, std::int64_t offset) noexcept {
    if (reg >= return_address || offset != static_cast<std::int32_t>(offset)) good_ = false;
    now_.cfa_register = static_cast<std::uint8_t>(reg);
    now_.cfa_offset = static_cast<std::int32_t>(offset);
    now_.cfa_is_expression = false;
  }
  // Where it lies, from code_ on.
  std::int32_t expression(byte_reader& r) noexcept {
    const auto at = static_cast<std::int64_t>(r.at() - code_);
    const std::uint64_t size = r.uleb();
    if (size > r.left() || size > most_expression || at != static_cast<std::int32_t>(at)) good_ = false;
    r.skip(size);
    return static_cast<std::int32_t>(at);
  }

  const common& c_;
  const std::uintptr_t pc_, data_base_, code_;
  row now_;
  static constexpr std::size_t most_remembered = 8;
  row remembered_[most_remembered];
  std::size_t depth_ = 0;
  bool good_ = true;
};

// The start of the FDE for pc by the sorted table of .eh_frame_hdr; 0: none.
std::uintptr_t search_table(std::uintptr_t header, std::uintptr_t end, std::uintptr_t pc) noexcept {
  byte_reader r(header, end);
  auto version = r.get<std::uint8_t>();
  auto frame_encoding = r.get<std::uint8_t>(), count_encoding = r.get<std::uint8_t>(), table_encoding = r.get<std::uint8_t>();
  if (!r.ok() || version != 1 || table_encoding != 0x3b) return 0;  // what ld, gold, lld and mold write
  r.pointer(frame_encoding, header);
  std::uint64_t count = r.pointer(count_encoding, header);
  if (!r.ok() || count == 0 || count > r.left() / 8) return 0;
  std::uintptr_t table = r.at();
  auto word = [&](std::uint64_t i, unsigned column) {
    const std::uintptr_t at = table + i * 8 + column * 4;
    return header + static_cast<std::uintptr_t>(std::int64_t{byte_reader(at, at + 4).get<std::int32_t>()});
  };
  if (pc < word(0, 0)) return 0;
  std::uint64_t lo = 0, hi = count;
  while (hi - lo > 1) {
    std::uint64_t mid = (lo + hi) / 2;
    (word(mid, 0) <= pc ? lo : hi) = mid;
  }
  return word(lo, 1);
}

// What stands before the program of an FDE; false when it is none.
struct description {
  common shared;
  std::uintptr_t start = 0, size = 0, program = 0, program_end = 0;
};
bool read_description(std::uintptr_t at, range readable, std::uintptr_t data_base, description& d) noexcept {
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

bool rule_at(std::uintptr_t at, range readable, std::uintptr_t header, std::uintptr_t pc, rule& out) noexcept {
  description d;
  if (!read_description(at, readable, header, d) || pc - d.start >= d.size) return false;
  const common& c = d.shared;
  program p(c, pc, header, readable.lo);
  // The CIE's own program holds at every pc of the function.
  if (!p.run(c.program, c.program_end, d.start, nullptr)) return false;
  const row initial = p.now();
  if (!p.run(d.program, d.program_end, d.start, &initial)) return false;
  const row& now = p.now();
  out.start = d.start;
  out.size = d.size;
  out.signal_frame = c.signal_frame;
  out.cfa_register = now.cfa_register;
  out.cfa_offset = now.cfa_offset;
  out.cfa_is_expression = now.cfa_is_expression;
  out.code = reinterpret_cast<const unsigned char*>(readable.lo);
  out.personality = c.personality;
  out.personality_is_stored = c.personality_encoding != 0xff && (c.personality_encoding & 0x80) != 0;
  out.saved_count = 0;
  for (std::uint8_t i = 0; i < register_count; ++i) {
    if (now.kind[i] == how::same) continue;
    saved_register& s = out.saved[out.saved_count++];
    s.number = i;
    s.where.kind = now.kind[i];
    s.where.n = now.n[i];
  }
  return true;
}

}  // namespace

bool find_rule(const tables& in, std::uintptr_t pc, rule& out) noexcept {
  if (!in.readable.holds(in.header)) return false;
  const std::uintptr_t at = search_table(in.header, in.readable.hi, pc);
  return at != 0 && rule_at(at, in.readable, in.header, pc, out);
}

bool next_entry(range section, std::uintptr_t& at, std::uintptr_t& start) noexcept {
  if (!section.holds(at)) return false;
  byte_reader entry = entry_at(at, section.hi);
  if (!entry.ok() || entry.at() == entry.end()) return false;  // the zero word at the end
  description d;
  start = read_description(at, section, 0, d) ? d.start : 0;
  at = entry.end();
  return true;
}
bool rule_of_entry(range section, std::uintptr_t at, std::uintptr_t pc, rule& out) noexcept {
  return rule_at(at, section, 0, pc, out);
}

}  // namespace stray::base::cfi
