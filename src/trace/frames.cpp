#include "trace/frames.h"

#include <elf.h>

#include "base/arch.h"
#include "trace/signal_frame.h"
#include "trace/stack_switches.h"

namespace stray::trace {

namespace cfi = base::cfi;

namespace {

constexpr std::uintptr_t red_zone_bytes = 128;
constexpr std::uintptr_t page_mask = ~(base::page_size - 1);

std::uintptr_t load(std::uintptr_t at) noexcept { return *reinterpret_cast<const std::uintptr_t*>(at); }

bool is_elf(const Elf64_Ehdr& h) noexcept {
  return h.e_ident[0] == 0x7f && h.e_ident[1] == 'E' && h.e_ident[2] == 'L' && h.e_ident[3] == 'F' &&
         h.e_ident[4] == ELFCLASS64 && h.e_phentsize == sizeof(Elf64_Phdr);
}

cfi::frame registers_of(const ucontext_t& c) noexcept {
  constexpr int order[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
                           REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
  cfi::frame f;
  for (unsigned i = 0; i < cfi::register_count; i++) f.set(i, static_cast<std::uintptr_t>(c.uc_mcontext.gregs[order[i]]));
  return f;
}

}  // namespace

// --- modules --------------------------------------------------------------------------------------------------------------------------

// The mapping of the same file that begins with the file's first byte.
const mapping* frame_walker::first_of(const mapping& m) const noexcept {
  constexpr std::ptrdiff_t most = 256;
  const mapping* begin = in_.map.all().begin();
  for (const mapping* x = &m; x >= begin && &m - x < most; x--) {
    if (x->file && x->inode == m.inode && x->offset == 0) return x;
  }
  return nullptr;
}

bool frame_walker::read_module(const mapping& text, std::uintptr_t pc, module& out) const noexcept {
  const bool vdso = text.kind == mapping::special;
  const mapping* first = vdso ? &text : first_of(text);
  if (first == nullptr || !first->readable || (!vdso && !text.file)) return false;
  const auto& h = *reinterpret_cast<const Elf64_Ehdr*>(first->lo);
  const std::uintptr_t bytes = first->hi - first->lo;
  if (!is_elf(h) || h.e_phoff % 8 != 0 || h.e_phoff > bytes || h.e_phnum > (bytes - h.e_phoff) / sizeof(Elf64_Phdr))
    return false;
  const slice<const Elf64_Phdr> all{reinterpret_cast<const Elf64_Phdr*>(first->lo + h.e_phoff), h.e_phnum};
  std::uintptr_t shift = 0;
  bool placed = false;
  for (const Elf64_Phdr& p : all) {
    if (p.p_type != PT_LOAD || placed || (p.p_offset & page_mask) != 0) continue;
    shift = first->lo - (p.p_vaddr & page_mask);
    placed = true;
  }
  if (!placed) return false;
  for (const Elf64_Phdr& p : all) {
    if (p.p_type == PT_GNU_EH_FRAME) out.in.header = shift + p.p_vaddr;
    if (p.p_type == PT_LOAD && (p.p_flags & PF_X) != 0 && pc - (shift + p.p_vaddr) < p.p_memsz)
      out.text = {shift + p.p_vaddr, shift + p.p_vaddr + p.p_memsz};
  }
  if (out.in.header == 0 || out.text.size() == 0) return false;
  for (const Elf64_Phdr& p : all) {
    const range r{shift + p.p_vaddr, shift + p.p_vaddr + p.p_filesz};
    if (p.p_type == PT_LOAD && (p.p_flags & PF_R) != 0 && r.holds(out.in.header)) out.in.readable = r;
  }
  const range& r = out.in.readable;
  if (r.size() == 0) return false;
  return vdso ? r.lo >= text.lo && r.hi <= text.hi && r.lo < r.hi : in_.map.readable(r.lo, r.size());
}

const frame_walker::module* frame_walker::module_of(std::uintptr_t pc) noexcept {
  for (const module& m : modules_) {
    if (m.text.holds(pc)) return &m;
  }
  const mapping* m = in_.map.find(pc);
  module found;
  if (m == nullptr || !m->executable || !read_module(*m, pc, found) || !modules_.push(*in_.memory, found)) return nullptr;
  return &modules_[modules_.size() - 1];
}

// --- rules ----------------------------------------------------------------------------------------------------------------------------

bool frame_walker::may_switch(const cfi::rule& r) const noexcept {
  constexpr std::size_t largest = 1 << 20;
  const mapping* m = in_.map.find(r.start);
  if (m != nullptr && m->kind == mapping::special) return false;  // the kernel's own code
  if (r.size > largest || !in_.map.readable(r.start, r.size)) return true;
  return may_switch_stacks(reinterpret_cast<const unsigned char*>(r.start), r.size);
}

void frame_walker::fill(entry& e, std::uintptr_t at) noexcept {
  e.at = at;
  e.kind = entry::unknown;
  e.may_switch = false;
  if (e.full == nullptr) e.full = in_.memory->array<cfi::rule>(1);
  const module* m = module_of(at);
  if (e.full == nullptr || m == nullptr || !cfi::find_rule(m->in, at, *e.full)) return;
  const cfi::rule& r = *e.full;
  const cfi::place back = r.of(cfi::return_address), rsp = r.of(cfi::rsp), rbp = r.of(cfi::rbp);
  if (back.kind == cfi::how::undefined) {
    e.kind = entry::end;
    return;
  }
  if (r.signal_frame) {
    e.kind = entry::handler;
    return;
  }
  const bool frameless = r.cfa_register == cfi::rsp && !r.cfa_is_expression && r.cfa_offset == 8;
  e.may_switch = !frameless && may_switch(r);  // without a frame it holds no array
  const bool saved = rbp.kind == cfi::how::at_cfa && rbp.n != 0;
  e.by_rbp = r.cfa_register == cfi::rbp;
  e.kind = entry::other;
  if (r.cfa_is_expression || (!e.by_rbp && r.cfa_register != cfi::rsp)) return;
  if (back.kind != cfi::how::at_cfa || back.n != -8 || rsp.kind != cfi::how::same) return;
  if (!saved && rbp.kind != cfi::how::same) return;
  e.kind = entry::plain;
  e.cfa = r.cfa_offset;
  e.rbp_at = saved ? rbp.n : 0;
}

const frame_walker::entry* frame_walker::find(std::uintptr_t at) noexcept {
  if (table_ == nullptr) table_ = in_.memory->array<entry>(entries);
  if (table_ == nullptr) return nullptr;
  entry& e = table_[(at ^ at >> 12) % entries];
  if (e.kind == entry::empty || e.at != at) fill(e, at);
  return &e;
}

// --- walks ----------------------------------------------------------------------------------------------------------------------------

frame_walker::walked frame_walker::by_two(const cfi::frame& f, const cfi::window& stack, const outermost& home) noexcept {
  std::uintptr_t sp = f.value[cfi::rsp], rbp = f.value[cfi::rbp], at = f.value[cfi::return_address];
  for (;;) {
    const entry* e = find(at);
    if (e == nullptr || e->kind == entry::unknown || e->may_switch) return walked::lost;
    if (e->kind == entry::end) return home.is(sp, at) ? walked::home : walked::lost;
    if (e->kind != entry::plain) return walked::needs_all;
    const std::uintptr_t cfa = (e->by_rbp ? rbp : sp) + static_cast<std::uintptr_t>(std::intptr_t{e->cfa});
    if (cfa < sp + 8 || cfa > stack.hi || (cfa & 7) != 0) return walked::lost;
    if (e->rbp_at != 0 && !stack.read(cfa + static_cast<std::uintptr_t>(std::intptr_t{e->rbp_at}), rbp)) return walked::lost;
    at = load(cfa - 8) - 1;
    sp = cfa;
  }
}

bool frame_walker::by_all(const cfi::frame& first, const cfi::window& stack, const outermost& home) noexcept {
  cfi::frame f;
  f.copy(first);
  for (bool exact = true;;) {
    const entry* e = find(f.value[cfi::return_address] - (exact ? 0 : 1));
    if (e == nullptr || e->kind == entry::unknown || e->may_switch) return false;
    if (e->kind == entry::end) return home.is(f.value[cfi::rsp], e->at);
    exact = e->kind == entry::handler;
    if (exact ? !through_our_handler(f, stack) : !cfi::step(*e->full, f, stack)) return false;
  }
}

// The frame from which a handler returns: the stack pointer is at what the kernel has stored.
bool frame_walker::through_our_handler(cfi::frame& f, const cfi::window& stack) const noexcept {
  const std::uintptr_t at = f.value[cfi::rsp];
  if (at < stack.lo || at >= stack.hi || stack.hi - at < sizeof(ucontext_t)) return false;
  const auto& c = *reinterpret_cast<const ucontext_t*>(at);
  const auto stored = static_cast<std::uint64_t>(c.uc_mcontext.gregs[REG_CSGSFS]);
  if ((stored & signal_frame::gs_and_fs) != signal_frame::left) return false;
  f.copy(registers_of(c));
  return f.value[cfi::rsp] > at && f.value[cfi::rsp] < stack.hi;
}

// From the red zone below sp to the end of the stack.
bool frame_walker::window_of(std::uintptr_t sp, range stack, cfi::window& out) noexcept {
  if (!stack.holds(sp) || (sp & 7) != 0) return false;
  if (last_ == nullptr || sp < last_->lo || stack.hi > last_->hi) last_ = in_.map.find(sp);
  if (last_ == nullptr || !last_->readable || last_->kind == mapping::special) return false;
  if (stack.hi > last_->hi && !in_.map.readable(sp, stack.hi - sp)) return false;
  out = {sp - last_->lo < red_zone_bytes ? last_->lo : sp - red_zone_bytes, stack.hi, 0};
  return true;
}

bool frame_walker::leads_home(const cfi::frame& f, range stack, const outermost& home) noexcept {
  cfi::window w;
  if (!window_of(f.value[cfi::rsp], stack, w)) return false;
  const walked how = by_two(f, w, home);
  return how == walked::home || (how == walked::needs_all && by_all(f, w, home));
}

bool frame_walker::leads_home(const standing& s) noexcept { return leads_home(registers_of(*s.context), s.stack, s.home); }

}  // namespace stray::trace
