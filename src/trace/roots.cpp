#include "trace/roots.h"

#include "base/arch.h"
#include "base/syscalls.h"
#include "trace/signal_frame.h"

namespace stray::trace {
namespace {

using strength = root_span::strength;
constexpr std::size_t red_zone_bytes = 128;
constexpr std::uintptr_t start_bytes = 64;  // that _start pushes at most

std::uintptr_t load(std::uintptr_t at) noexcept { return *reinterpret_cast<const std::uintptr_t*>(at); }

class root_finder {
 public:
  root_finder(image& in, const thread_layout& layout, const native_stacks& stacks, const pause_copy& pause) noexcept
      : in_(in), layout_(layout), stacks_(stacks), pause_(pause) {}

  void run(std::uintptr_t caller_fs) noexcept {
    for (const range& r : in_.ours) cut(r);
    for (const range& r : in_.claimed) cut(r);
    cut(in_.who->interest);
    for (std::size_t i = 0; i < in_.threads.size; i++) thread(in_.threads[i], in_.roles[i]);
    caller(caller_fs);
    for (const native_stack& s : stacks_.all()) {
      if (s.tid > 0) continue;
      cut({s.lo, s.hi});
      if (!s.cached) add({s.tcb, s.hi}, root::tls, strength::strong, origin::memory, 0);
    }
    for (const saved_span& s : in_.saved) {
      if (s.lo == 0 && (s.what == root::pipes || s.what == root::sockets || s.what == root::files)) {
        loose(s);
        continue;
      }
      in_.roots.push(*in_.memory, {s.lo, s.hi, s.copy, s.what, strength::strong, origin::memory, 0});
    }
    if (in_.pages.how() == page_scan::means::none) in_.notes->add() << in_.pages.why_none();
    mappings();
    vanished();
  }

 private:
  void cut(range r) noexcept {
    if (r.hi > r.lo) cut_.push(*in_.memory, r);
  }

  // A span of words, clipped to what can be read.
  void add(range r, root what, strength how, origin from, int tid, bool again = false) noexcept {
    if (in_.is_off(what) || (how == strength::ambiguous && in_.is_off(root::ambiguous))) return;
    r.lo = (r.lo + 7) & ~std::uintptr_t{7};
    for (std::uintptr_t at = r.lo; at + 8 <= r.hi;) {
      const mapping* m = in_.map.after(at);
      if (m == nullptr || m->lo >= r.hi) return;
      if (m->lo > at) at = m->lo;
      std::uintptr_t stop = m->hi < r.hi ? m->hi : r.hi;
      if (m->readable && m->kind != mapping::special) in_.roots.push(*in_.memory, {at, stop, at, what, how, from, tid, again});
      at = stop;
    }
  }

  // --- threads ------------------------------------------------------------------------------------------------------------------------

  void registers(const stopped_thread& t, bool all, strength how, origin from) noexcept {
    if (t.context == nullptr) return;  // only looked at
    auto regs = reinterpret_cast<std::uintptr_t>(&t.context->uc_mcontext.gregs[0]);
    auto one = [&](int from_reg, int to_reg) {  // [from_reg, to_reg)
      if (in_.is_off(root::registers) || (how == strength::ambiguous && in_.is_off(root::ambiguous))) return;
      in_.roots.push(*in_.memory, {0, static_cast<std::uintptr_t>(to_reg - from_reg) * 8,
                                   regs + static_cast<std::uintptr_t>(from_reg) * 8, root::registers, how, from, t.tid});
    };
    if (all) {
      one(REG_R8, REG_RSP + 1);
    } else {
      one(REG_R12, REG_R15 + 1);
      one(REG_RBP, REG_RBX + 1);
    }
    if (!all || in_.is_off(root::vector_registers)) return;
    auto state = reinterpret_cast<std::uintptr_t>(t.context->uc_mcontext.fpregs);
    if (state == 0 || !in_.map.readable(state, legacy_bytes)) return;
    std::size_t bytes = legacy_bytes;
    auto* whole = reinterpret_cast<const area_size*>(state + area_size::at);
    if (whole->magic == area_size::is_extended && whole->bytes >= bytes && whole->bytes <= 65536 &&
        in_.map.readable(state, whole->bytes)) {
      bytes = whole->bytes;
    }
    each_vector_span(layout_.vectors, reinterpret_cast<const unsigned char*>(state), bytes, [&](std::size_t at, std::size_t n) {
      in_.roots.push(*in_.memory, {0, n & ~std::size_t{7}, state + at, root::vector_registers, how, from, t.tid});
    });
  }

  // Whoever installed the handler: by the segment registers that the kernel stores for it, or by the return address that libc gives it.
  bool has_signal_frame(range r) const noexcept {
    for (std::uintptr_t at = (r.lo + 7) & ~std::uintptr_t{7}; at + 8 <= r.hi;) {
      const mapping* m = in_.map.find(at);
      if (m == nullptr || !m->readable || m->kind == mapping::special) return false;  // no stack
      for (const std::uintptr_t stop = m->hi < r.hi ? m->hi : r.hi; at + 8 <= stop; at += 8) {
        std::uintptr_t word = load(at);
        if (word == signal_frame::segments) return true;
        if (word != layout_.signal_return || word == 0) continue;
        const std::uintptr_t stored = at + signal_frame::segments_at;
        if (stored + 8 <= stop && signal_frame::is_live(load(stored))) return true;
      }
    }
    return false;
  }

  // Kept by every call, asleep or not.
  void gs(const stopped_thread& t, strength how) noexcept {
    if (t.context == nullptr || in_.is_off(root::registers)) return;
    in_.roots.push(*in_.memory,
                   {0, 8, reinterpret_cast<std::uintptr_t>(&t.gs_base), root::registers, how, origin::running, t.tid});
  }

  void running(const stopped_thread& t, range frames, bool again) noexcept {
    gs(t, strength::strong);
    registers(t, true, strength::strong, origin::running);
    if (!in_.is_off(root::red_zone))
      add({t.sp - red_zone_bytes, t.sp}, root::red_zone, strength::strong, origin::running, t.tid, again);
    add(frames, root::stacks, strength::strong, origin::running, t.tid, again);
  }

  void asleep(const stopped_thread& t, range frames, strength how, bool again) noexcept {
    gs(t, how == strength::ambiguous ? strength::strong : how);
    registers(t, false, how, origin::memory);
    add(frames, root::stacks, how, origin::memory, t.tid, again);
  }

  void thread(const stopped_thread& t, const thread_role& given) noexcept {
    const native_stack* own = t.stopped ? stacks_.by_fs(t.fs_base) : stacks_.by_tid(t.tid);
    range native{}, tls{};
    if (own != nullptr) {
      native = {own->lo, own->tcb - layout_.frames_below};
      tls = {own->tcb - layout_.tls_below, own->hi};
    } else if (const mapping* m = t.stopped || t.looked ? main_stack() : nullptr; m != nullptr && t.tid == main_tid()) {
      native = {m->lo, m->hi};
    }
    if (!t.stopped && !t.skipped && !t.looked) {  // its stack stays what it is by default: a root as a whole
      in_.unstopped++;
      return;
    }
    const bool in_motion = t.looked && !t.asleep;  // where its frames begin is unknown
    const thread_role role = t.skipped ? thread_role{thread_role::ours} : given;
    if (native.hi != 0) {
      cut({native.lo, tls.hi != 0 ? tls.hi : native.hi});
      if (role.what != thread_role::ours) add(tls, root::tls, strength::strong, origin::memory, t.tid);
    }
    if (in_motion || role.what == thread_role::ours) return;
    const bool of_ours = role.stack_top != 0, at_work = role.what == thread_role::idle || role.what == thread_role::busy;
    const bool at_home = native.holds(t.sp) || (of_ours && (at_work || role.own));
    range frames = of_ours ? range{t.sp, role.stack_top} : at_home ? range{t.sp, native.hi} : stands_on(t.sp);
    const bool in_handler = has_signal_frame(frames);
    if (role.what == thread_role::idle && !in_handler) return;
    // The handler may stand on an alternate stack that is an array in a frame: what it interrupted lies below.
    if (in_handler && at_home) frames.lo = of_ours ? role.stack_lo : native.lo;
    strength how = strength::strong;
    if (!in_handler && role.what == thread_role::parked) {
      how = strength::parked;
    } else if (!in_handler && at_home &&
               (role.what == thread_role::settled || (role.what == thread_role::foreign && t.in_syscall))) {
      how = strength::ambiguous;
    }
    if (!in_handler && at_home && t.context != nullptr) {
      const range stack = of_ours ? range{role.stack_lo, role.stack_top} : frames_of(own, native);
      const outermost home = of_ours ? outermost{stack, in_.who->entry} : home_of(own);
      in_.standings.push(*in_.memory, {t.context, {stack.lo, t.sp}, stack, home, how, t.tid});
    }
    // Code that was interrupted may have left its only copies in frames or in a signal frame on an alternate stack: all of it was running.
    if (!at_home) add(native, root::stacks, how, origin::running, t.tid);
    if (how == strength::strong) {
      running(t, frames, !at_home);
    } else {
      asleep(t, frames, how, !at_home);
    }
  }

  // Where the outermost frame's stack pointer lies: of libc's frame below the thread's function, of _start.
  outermost home_of(const native_stack* own) const noexcept {
    if (own != nullptr) return {{own->tcb - layout_.frames_below, own->tcb}, {}};
    return {{layout_.main_stack_end - start_bytes, layout_.main_stack_end + 1}, {}};
  }
  range frames_of(const native_stack* own, range native) const noexcept {
    return {native.lo, own != nullptr ? own->tcb : native.hi};
  }

  // A stack of the user's own making, from sp up. The block or mapping is listed by itself, too.
  range stands_on(std::uintptr_t sp) const noexcept {
    const mapping* m = in_.map.find(sp);
    if (m == nullptr || !m->readable) return {0, 0};
    range block;
    if (in_.who->interest.holds(sp)) return {0, 0};  // the client would have said where that stack ends
    if (in_.blocks.block_of(sp, block)) return {sp, block.hi};
    if (m->kind == mapping::plain && !m->shared) {
      for (const native_stack& s : stacks_.all()) {
        if (sp >= s.lo && sp < s.hi) return {sp, m->hi < s.tcb ? m->hi : s.tcb};  // somebody's, an array in a frame
      }
    }
    return {sp, m->hi};
  }

  void caller(std::uintptr_t fs) noexcept {
    const native_stack* own = stacks_.by_fs(fs);
    if (own != nullptr) {
      cut({own->lo, own->hi});
      add({own->tcb - layout_.tls_below, own->hi}, root::tls, strength::strong, origin::memory, 0);
    } else if (const mapping* m = main_stack(); m != nullptr && in_.caller_is_main) {
      cut({m->lo, m->hi});
    }
  }

  const mapping* main_stack() const noexcept {
    for (const mapping& m : in_.map.all()) {
      if (m.kind == mapping::stack) return &m;
    }
    return nullptr;
  }
  int main_tid() const noexcept { return in_.parent_pid; }

  // Bytes of a stream: a word may begin at each.
  void loose(const saved_span& s) noexcept {
    if (s.hi - s.lo < 8) return;
    std::size_t count = s.hi - s.lo - 7;
    auto* words = in_.memory->array<std::uintptr_t>(count);
    if (words == nullptr) return;  // exhausted: no verdict at all
    for (std::size_t i = 0; i < count; i++) words[i] = load_any(s.copy + i);
    auto at = reinterpret_cast<std::uintptr_t>(words);
    in_.roots.push(*in_.memory, {0, count * 8, at, s.what, strength::strong, origin::memory, 0});
  }

  // --- memory -------------------------------------------------------------------------------------------------------------------------

  void mappings() noexcept {
    sort(cut_.begin(), cut_.size(), [](const range& a, const range& b) { return a.lo < b.lo; });
    std::size_t next = 0;
    std::uintptr_t covered = 0;  // everything below is cut away or done
    for (const mapping& m : in_.map.all()) {
      if (m.shared || m.kind == mapping::special) continue;
      const pause_copy::flagged* f = pause_.flags_of(m.lo);
      if (f != nullptr && f->device) {
        in_.blind++;
        text line = in_.notes->add();
        line << "device mapping ";
        line.hex(m.lo) << "-";
        line.hex(m.hi) << " is not read";
        continue;
      }
      if (f != nullptr && (f->wipeonfork || f->dontfork)) continue;  // saved in the pause
      root what = m.file ? root::data : m.kind == mapping::heap ? root::heap_pages : root::anonymous;
      if (in_.is_off(what)) continue;
      std::uintptr_t at = m.lo > covered ? m.lo : covered;
      while (at < m.hi) {
        while (next < cut_.size() && cut_[next].hi <= at) next++;
        std::uintptr_t stop = m.hi;
        if (next < cut_.size() && cut_[next].lo < m.hi) {
          if (cut_[next].lo <= at) {
            at = cut_[next].hi;
            continue;
          }
          stop = cut_[next].lo;
        }
        pages(m, {at, stop}, what);
        at = stop;
      }
      if (at > covered) covered = at;
    }
  }

  void pages(const mapping& m, range r, root what) noexcept {
    constexpr std::uintptr_t page_mask = base::page_size - 1;
    std::uintptr_t from = r.lo & ~page_mask;
    const std::uintptr_t hi = (r.hi + page_mask) & ~page_mask;
    if (in_.pages.how() == page_scan::means::none && m.file && !m.writable && m.executable) return;  // code
    if (in_.pages.how() == page_scan::means::none && !m.readable) {
      in_.blind++;
      text line = in_.notes->add();
      line << "mapping ";
      line.hex(m.lo) << "-";
      line.hex(m.hi) << " cannot be read, and /proc/self/pagemap is not accessible";
      return;
    }
    range run;
    bool readable = m.readable;
    while (in_.pages.next(from, hi, m.file, run)) {
      if (!readable) {
        long refused =
            base::sys::call(SYS_mprotect, static_cast<long>(m.lo), static_cast<long>(m.hi - m.lo), 1 /* PROT_READ */);
        if (refused != 0) {
          in_.blind++;
          text line = in_.notes->add();
          line << "mapping ";
          line.hex(m.lo) << "-";
          line.hex(m.hi) << " cannot be made readable";
          return;
        }
        readable = true;
      }
      std::uintptr_t lo = run.lo < r.lo ? r.lo : run.lo, end = run.hi > r.hi ? r.hi : run.hi;
      lo = (lo + 7) & ~std::uintptr_t{7};
      if (lo + 8 > end) continue;
      in_.roots.push(*in_.memory, {lo, end, lo, what, strength::strong, origin::memory, 0});
      if (what != root::data) in_.unknown_bytes += end - lo;
    }
  }

  // Mappings of the pause that the child does not have: marked MADV_DONTFORK after we looked.
  void vanished() noexcept {
    for (const mapping& p : pause_.map().all()) {
      if (p.shared || p.kind == mapping::special) continue;
      std::uintptr_t at = p.lo;
      while (at < p.hi) {
        const mapping* m = in_.map.after(at);
        std::uintptr_t lo = m == nullptr || m->lo > p.hi ? p.hi : m->lo;
        if (lo > at) {
          const pause_copy::flagged* f = pause_.flags_of(at);
          if (f == nullptr || !f->dontfork) {
            in_.blind++;
            text line = in_.notes->add();
            line << "mapping ";
            line.hex(at) << "-";
            line.hex(lo) << " is not in the snapshot (MADV_DONTFORK?)";
          }
        }
        at = m == nullptr ? p.hi : m->hi;
      }
    }
  }

  image& in_;
  const thread_layout& layout_;
  const native_stacks& stacks_;
  const pause_copy& pause_;
  list<range> cut_;  // not roots by default
};

}  // namespace

void find_roots(image& in, const thread_layout& layout, const native_stacks& stacks, const pause_copy& pause,
                std::uintptr_t caller_fs) noexcept {
  root_finder{in, layout, stacks, pause}.run(caller_fs);
}

}  // namespace stray::trace
