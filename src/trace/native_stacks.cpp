#include "trace/thread_layout.h"

#include "base/arch.h"
#include "trace/image.h"

namespace stray::trace {

namespace {
std::uintptr_t load(std::uintptr_t at) noexcept { return *reinterpret_cast<const std::uintptr_t*>(at); }
}  // namespace

bool native_stacks::look(image& in, const thread_layout& layout, std::uintptr_t tcb, bool cached) noexcept {
  if ((tcb & 15) != 0 || by_fs(tcb) != nullptr) return false;
  if (!in.map.readable(tcb, layout.block_at + 16) || load(tcb) != tcb || load(tcb + 16) != tcb) return false;
  native_stack s{};
  s.lo = load(tcb + layout.block_at);
  s.hi = s.lo + load(tcb + layout.block_at + 8);
  s.tcb = tcb;
  s.tid = *reinterpret_cast<const int*>(tcb + layout.tid_at);
  s.cached = cached;
  if (s.lo == 0 || (s.lo & 15) != 0 || s.hi <= tcb || s.lo >= tcb) return false;  // the main thread's says 0
  items_.push(*in.memory, s);
  return true;
}

// The main thread's TCB hangs in the ring of stacks that libc did not make, whose head lies behind that of those it made.
void native_stacks::find_main(const image& in, const thread_layout& layout) noexcept {
  std::uintptr_t head = layout.rings[0] == 0 ? 0 : layout.rings[0] + 16;
  if (head == 0 || !in.map.readable(head, 16)) return;
  std::uintptr_t at = load(head);
  for (int n = 0; at != head && n < 65536 && (at & 7) == 0 && in.map.readable(at, 16); n++) {
    std::uintptr_t tcb = at - layout.list_at;
    if ((tcb & 15) == 0 && in.map.readable(tcb, layout.block_at + 16) && load(tcb) == tcb && load(tcb + 16) == tcb &&
        *reinterpret_cast<const int*>(tcb + layout.tid_at) == in.parent_pid) {
      main_tcb_ = tcb;
      return;
    }
    at = load(at);
  }
}

void native_stacks::find(image& in, const thread_layout& layout, std::uintptr_t caller_fs) noexcept {
  if (!layout.known) return;
  find_main(in, layout);
  look(in, layout, caller_fs, false);
  for (const stopped_thread& t : in.threads) {
    if (t.stopped) look(in, layout, t.fs_base, false);
  }
  for (std::uintptr_t head : layout.rings) {
    if (head == 0 || !in.map.readable(head, 16)) continue;
    std::uintptr_t at = load(head);
    for (std::size_t n = 0; at != head && n < (std::size_t{1} << 22) && (at & 7) == 0 && in.map.readable(at, 16); n++) {
      look(in, layout, at - layout.list_at, head == layout.rings[1]);
      at = load(at);
    }
  }
  if (layout.rings[0] != 0) return;
  // Without rings: the stacks of threads that are not stopped. Dead ones are not looked for: the memory may have a new owner.
  for (const mapping& m : in.map.all()) {
    if (m.file || m.shared || !m.readable || !m.writable || m.kind != mapping::plain || m.hi - m.lo < layout.tcb_to_end)
      continue;
    std::uintptr_t tcb = m.hi - layout.tcb_to_end;
    if (*reinterpret_cast<const int*>(tcb + layout.tid_at) > 0) look(in, layout, tcb, false);
  }
}

const native_stack* native_stacks::by_fs(std::uintptr_t fs_base) const noexcept {
  for (const native_stack& s : items_) {
    if (s.tcb == fs_base) return &s;
  }
  return nullptr;
}

std::uintptr_t native_stacks::tcb_of(int tid, int main_tid) const noexcept {
  const native_stack* s = by_tid(tid);  // also of the main thread of a child that another thread has forked
  return s != nullptr ? s->tcb : tid == main_tid ? main_tcb_ : 0;
}

const native_stack* native_stacks::by_tid(int tid) const noexcept {
  for (const native_stack& s : items_) {
    if (s.tid == tid) return &s;
  }
  return nullptr;
}

}  // namespace stray::trace
