// Marks what is live in the frozen process, from the roots through heap blocks and the client's spans.
//
// 1. Two colours. Mark: reached from a root. Reach (the second colour): reached from a span given to reach(), and not marked at that
//    time. Marking may go on into reached blocks later; then a block has both, and mark counts.
// 2. Each block is scanned at most once per colour, each word of it as a possible address (masked to base::address_mask).
// 3. A word into client.interest goes to the client (hit, reached, locate), every other one to the block table.
// 4. A word that points into the frames of a `parked` thread makes that thread's registers and frames live memory, as push_thread does. Not
//    so the words that libc keeps of every thread: in its own control block, and those to the arguments and environment of main.
// 5. Callbacks may push, never drain: work is done by the outermost call.
// 6. With a trail each marked block gets the address of the word that led to it; the queues are not used then, and it is slower.
// 7. The order that classification needs: locate, mark_roots, mark_ambiguous, reach_push and drain, mark_orphans, then mark_words and mark_unaligned.
// 8. Spans come in masses, one stack each: each is asked for eight spans before it is read. The second colour of 10^5 stacks: 19 ms of CPU
//    time, 35 without.
// 9. A word that points near its own block is looked up at once, the others wait in the queue: locality decides word by word.
// 10. Pointers lie as whole words at any offset (packed messages, struct epoll_event, immediates in code). All passes but the last read aligned
//    words only; mark_unaligned searches what is live at the others, for what is not live yet. It also tells saved contexts (saved_contexts.h).
// Figures (decision 0020): two-stage prefetch, 32 candidates waiting for their bitmap line and 16 blocks for their contents: 36 M blocks/s
// on a random graph of 20 M blocks; a plain loop 5.6. A one-stage queue: a quarter of the speed.
// Pure; runs in the snapshot, one thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/arch.h"
#include "trace/image.h"
#include "trace/saved_contexts.h"
#include "trace/trail.h"

namespace stray::trace {

class marker {
 public:
  // trail: where to record from which word each block was marked; null: nowhere.
  explicit marker(image& in, trail* steps = nullptr) noexcept;

  // --- passes -------------------------------------------------------------------------------------------------------------------------
  // First pass, in address order: every word into client.interest of all roots, threads and in-use blocks goes to client.locate.
  void locate() noexcept;
  // Every strong root, drained. Words into interest of ambiguous roots go to client.hit here, too; ambiguous words into blocks do not count yet.
  void mark_roots() noexcept;
  // Each ambiguous word into a block not yet marked: the block is marked, all is drained, then after(arg, word).
  void mark_ambiguous(void (*after)(void* arg, const word& w), void* arg) noexcept;
  // Each in-use block of neither colour: marked, drained, then after(arg, block).
  void mark_orphans(void (*after)(void* arg, range block), void* arg) noexcept;
  // Each unaligned word, and each pair of halves, in what is live that leads to what is not: followed, drained, then after(arg, where it lay).
  // live: the client's own spans that are.
  void mark_unaligned(slice<const range> live, void (*after)(void* arg, std::uintptr_t at), void* arg) noexcept;

  // The search at all offsets looks for saved contexts as well; dead as in saved_contexts::begin. found() is of the last search.
  void look_for_contexts(slice<const range> dead) noexcept { contexts_.begin(in_, dead); }
  const list<saved_contexts::context>& contexts() const noexcept { return contexts_.found(); }
  // An address that counts as a word at `at`: if it leads to what is not live it is followed, drained, then after(arg, at).
  void mark_address(std::uintptr_t address, std::uintptr_t at, void (*after)(void* arg, std::uintptr_t at), void* arg) noexcept;

  // Words that count as in a live span, one after the other: each that leads to what is not live is followed, drained, then after(arg, at).
  void mark_words(range words, void (*after)(void* arg, std::uintptr_t at), void* arg) noexcept;
  // Do the registers and frames of this `parked` thread count by now?
  bool is_entered(int tid) const noexcept;

  // --- for callbacks, and between passes (then followed by drain) -----------------------------------------------------------------------
  void push(range bytes, origin from) noexcept;      // live from now on: covered() and its words
  bool mark_block(std::uintptr_t address) noexcept;  // the block that holds the address is live; false if there is none
  void push_memory_of(std::uintptr_t sp) noexcept;   // what a stack pointer of the program's own making stands on
  void push_thread(int tid) noexcept;                // registers and frames of a `parked` thread
  void reach_push(range bytes) noexcept;             // the same three for the second colour
  bool reach_block(std::uintptr_t address) noexcept;
  void reach_thread(int tid) noexcept;
  void drain() noexcept;  // never from a callback
  // With a trail: the word that is being looked at, as trail keeps it. The client sets what its own marks are to be known by.
  std::uint64_t step() const noexcept { return step_; }
  void set_step(std::uint64_t step) noexcept { step_ = step; }
  // Calls client.locate for the words into interest of a span of the client's own.
  void locate_span(range bytes, origin from) noexcept;
  // f(const word&) for every word of a span; bytes that cannot be read are left out.
  template <class F>
  void for_each_word(range rest, F f) const noexcept {
    for (range r; clip(rest, r);) {
      for (std::uintptr_t at = r.lo; at + 8 <= r.hi; at += 8) f(make_word(r, at, at, origin::memory));
    }
  }

  image& process() const noexcept { return in_; }
  std::size_t marked_blocks() const noexcept { return counts_[0].blocks; }
  std::size_t marked_bytes() const noexcept { return counts_[0].bytes; }
  std::size_t reached_blocks() const noexcept { return counts_[1].blocks; }
  std::size_t reached_bytes() const noexcept { return counts_[1].bytes; }

 private:
  static constexpr unsigned candidates = 32, opened = 16;
  static constexpr unsigned near_shift = 12;  // a line of start and mark words covers 4 KiB of heap
  enum colour : unsigned { mark = 0, second = 1 };
  struct span {
    std::uintptr_t lo, hi, bytes;
    origin from;
    int tid;
  };
  struct counts {
    std::size_t blocks = 0, bytes = 0;
  };

  static word make_word(range r, std::uintptr_t at, std::uintptr_t bytes, origin from) noexcept {
    std::uintptr_t raw = *reinterpret_cast<const std::uintptr_t*>(bytes);
    bool more = at + 16 <= r.hi && r.lo != 0;
    return {raw & base::address_mask,
            raw,
            r.lo == 0 ? 0 : at,
            at == bytes ? r.hi : 0,
            more ? *reinterpret_cast<const std::uintptr_t*>(bytes + 8) : 0,
            more,
            from};
  }
  bool clip(range& rest, range& out) const noexcept;
  void add_span(colour c, range r, origin from) noexcept;
  // Addresses whose bitmap line is on its way. Lives on run()'s frame, where callbacks cannot see it: its indices stay in registers.
  struct queue {
    std::uintptr_t address[candidates];
    unsigned at = 0, count = 0;
  };
  template <colour c>
  bool touch(block_table::segment* in, std::size_t w, std::uint64_t mask, std::uintptr_t start) noexcept;
  template <colour c>
  bool touch_start(std::uintptr_t start) noexcept;
  template <colour c>
  bool touch_address(std::uintptr_t address) noexcept;
  template <colour c>
  void scan(const span& s, queue& waiting) noexcept;
  template <colour c>
  void run(const span* first = nullptr) noexcept;
  void scan_with_trail(const span& s) noexcept;
  void locate_words(const span& s) noexcept;
  // mark_unaligned.cpp
  struct targets {  // byte 5 of the addresses that are looked for
    static constexpr unsigned room = 4;
    unsigned char byte[room] = {};
    unsigned count = 0;
    bool all = false;  // too many, or low addresses: every word is tried
    void add(std::uintptr_t lo, std::uintptr_t hi) noexcept;
  };
  void search(std::uintptr_t at, std::uintptr_t bytes, std::size_t n) noexcept;
  void search_borders() noexcept;
  void search_registers() noexcept;
  void meet_halves(std::uintptr_t bytes, std::uintptr_t at, std::uintptr_t lo, std::uintptr_t hi) noexcept;
  void met_at(std::uintptr_t value, std::uintptr_t at) noexcept;
  bool meet(std::uintptr_t value, std::uintptr_t at) noexcept;
  bool touch_unmarked(std::uintptr_t address) noexcept;
  void run_marks() noexcept;
  void push_parked(colour c, int tid, std::uint64_t by) noexcept;
  void enter_parked(colour c, std::uintptr_t address, std::uintptr_t at) noexcept;

  static std::uint64_t step_at(std::uintptr_t lo, std::uintptr_t at, int tid) noexcept {
    return lo == 0 ? trail_mark::register_of(tid) : at;
  }

  image& in_;
  const client& who_;
  block_table& blocks_;
  std::uintptr_t interest_lo_;
  std::size_t interest_size_;
  std::uintptr_t* stack_[2] = {};  // blocks to scan, by colour; room for every block
  std::size_t top_[2] = {};
  // Stacks of parked threads: a live pointer into one makes its contents live.
  struct parked_stack {
    std::uintptr_t lo, hi;
    std::uintptr_t tcb;  // 0: unknown
    int tid;
    bool pushed[2];
  };
  list<parked_stack> parked_;
  std::uintptr_t parked_lo_ = 0, parked_size_ = 0;  // the range that holds them all
  list<span> spans_[2];
  counts counts_[2];
  trail* trail_;
  std::uint64_t step_ = 0;
  targets wanted_;
  saved_contexts contexts_;
  bool search_all_ = false;        // run() searches what it marks at all offsets
  bool search_by_itself_ = false;  // not from within run()
  void (*after_unaligned_)(void*, std::uintptr_t) = nullptr;
  void* after_arg_ = nullptr;
};

}  // namespace stray::trace
