// Follows call frames in the frozen process: does all that lives in a stack lie above its stack pointer?
//
// A fiber may stand on an array in a frame of the same stack. The frames that it has left lie below the stack pointer then, where otherwise
// all is dead. They are told by what does not fit: the frames from the stack pointer outwards do not lead to the outermost frame of the stack.
//
// 1. leads_home: each frame is described by call frame information, each CFA lies above the one before, and the outermost one, which has
//    no caller, is the stack's own: by where it lies (of a thread), by its code (of a stack of the client's). Then control has come to where it stands by calls only, and nothing has been left below.
// 2. Everything else is not at home: no description, garbage, an end in the middle (of makecontext, make_fcontext, a hand-written switch).
//    That costs little: who waits for what lies below is likely, and the place is named (classify.h 7).
// 3. Modules are found by the child's own memory map and their program headers, tables are read inside readable segments, stacks inside
//    their mapping: whatever the bytes are, no read goes astray, and each step goes up.
// 4. One rule a pc, in a direct-mapped table. Most need the stack and the frame pointer only.
// 5. A switch that is inlined into the function that holds the array may leave a chain without a gap: what that function keeps below the array is
//    not seen then. So nobody is at home with a frame of a function whose code may switch stacks (stack_switches.h), unless that frame is empty
//    (memmove's, in which threads are often met, looks like one).
// 6. Who was stopped again before it had left the handler of the last stop is followed through our own frame (signal_frame.h). Handlers of
//    the program are roots.cpp's: it counts all of their stack.
// 7. Not told: frames left behind by longjmp (picoro). Told without need: a thread in the few instructions in which libgcc takes over the
//    registers of a frame that catches.
// Rejected: a list of modules made before the stop (dlopen in between); all below sp of every stack as a root (stale words hide leaks).
// Pure; runs in the snapshot.
#pragma once

#include <cstdint>

#include "base/cfi.h"
#include "trace/image.h"

namespace stray::trace {

class frame_walker {
 public:
  explicit frame_walker(image& in) noexcept : in_(in) {}

  // f: the innermost frame, its pc exact. stack: what its frames lie in.
  bool leads_home(const base::cfi::frame& f, range stack, const outermost& home) noexcept;
  bool leads_home(const standing& s) noexcept;

 private:
  // What to do with a frame of which only rsp, rbp and pc are known.
  struct entry {
    enum kind_type : std::uint8_t { empty, unknown, end, plain, other, handler };
    std::uintptr_t at = 0;  // the address that was asked for
    base::cfi::rule* full = nullptr;
    std::int32_t cfa = 0, rbp_at = 0;  // plain: CFA = base + cfa; rbp is at CFA + rbp_at, 0: not saved
    kind_type kind = empty;
    bool by_rbp = false;
    bool may_switch = false;  // its function, to another stack
  };
  struct module {
    range text;
    base::cfi::tables in;
  };
  enum class walked : std::uint8_t { home, lost, needs_all };

  walked by_two(const base::cfi::frame& f, const base::cfi::window& stack, const outermost& home) noexcept;
  bool through_our_handler(base::cfi::frame& f, const base::cfi::window& stack) const noexcept;
  bool by_all(const base::cfi::frame& f, const base::cfi::window& stack, const outermost& home) noexcept;
  bool window_of(std::uintptr_t sp, range stack, base::cfi::window& out) noexcept;
  const entry* find(std::uintptr_t at) noexcept;
  void fill(entry& e, std::uintptr_t at) noexcept;
  bool may_switch(const base::cfi::rule& r) const noexcept;
  const module* module_of(std::uintptr_t pc) noexcept;
  const mapping* first_of(const mapping& m) const noexcept;
  bool read_module(const mapping& text, std::uintptr_t pc, module& out) const noexcept;

  static constexpr std::size_t entries = 4096;
  image& in_;
  entry* table_ = nullptr;
  list<module> modules_;
  const mapping* last_ = nullptr;
};

}  // namespace stray::trace
