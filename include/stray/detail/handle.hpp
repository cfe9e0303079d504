// The counted, self-checking handle beneath chan, send_chan and recv_chan (rule COUNT of docs/design/soundness.md).
//
// 1. A handle is two words: {core, core ^ its own address ^ key ^ kind}; nil is {0, 0}. The second word tells the tracer a real handle
//    from a stale copy of the first, and its kind from its value. So a handle must never be moved by memcpy.
// 2. At every instruction the number of valid handles in memory is at most the core's reference count:
//    copy = increment, then write; move = clear the source, then write; destroy = clear, then decrement. The stores are volatile and
//    fenced against the compiler, or it would sink the increment below them (tests/step/handle_test.cpp steps through all of it).
// 3. An operation that runs the user's code (copy, move, destructor of an element) has a mark in its frame: a word pair like a handle's, with a
//    kind of its own and not counted. That code may block, and the handle of the operation may be gone by then (reset by that very code, or a
//    caller's pointer that nobody needs any more); what the operation is about to wake is alive all the same.
// Rejected: writing the destination of a move first (74 of 543,725 stepped instructions count a handle twice); interior offsets for the
// kind (gcc's tail calls leave only core+8 in a register).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#pragma GCC visibility push(default)

namespace stray::detail {

struct chan_core;

// The first word of every core; the rest is the library's (src/sync/chan_core.h).
struct core_refs {
  std::atomic<std::int64_t> count;
};
void core_destroy(chan_core* core) noexcept;  // the last handle is gone

enum class handle_kind : std::uintptr_t { full = 0, send = 1, recv = 2 };
inline constexpr std::uintptr_t handle_kinds = 3;  // a mark's kind is its handle's and this

inline constexpr std::uintptr_t handle_key = 0x7c0f'fee1'2345'6788;  // low 3 bits 0: room for the kind

class handle_base {
 public:
  chan_core* core() const noexcept { return core_; }

 protected:
  constexpr handle_base() noexcept = default;

  void set(chan_core* core, handle_kind kind) noexcept { set(core, static_cast<std::uintptr_t>(kind)); }
  void set(chan_core* core, std::uintptr_t kind) noexcept {
    *const_cast<chan_core* volatile*>(&core_) = core;
    *const_cast<volatile std::uintptr_t*>(&check_) =
        core == nullptr ? 0
                        : reinterpret_cast<std::uintptr_t>(core) ^ reinterpret_cast<std::uintptr_t>(this) ^ handle_key ^ kind;
  }
  chan_core* take() noexcept {
    chan_core* core = core_;
    *const_cast<chan_core* volatile*>(&core_) = nullptr;
    *const_cast<volatile std::uintptr_t*>(&check_) = 0;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return core;
  }
  static chan_core* ref(chan_core* core) noexcept {
    if (core != nullptr) {
      // order: a new reference is made from one that is held; only the compiler must keep it before the store
      reinterpret_cast<core_refs*>(core)->count.fetch_add(1, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    return core;
  }
  static void unref(chan_core* core) noexcept {
    // order: acq_rel, so that the last owner sees all that the others did through theirs
    if (core != nullptr && reinterpret_cast<core_refs*>(core)->count.fetch_sub(1, std::memory_order_acq_rel) == 1)
      core_destroy(core);
  }

 private:
  chan_core* core_ = nullptr;
  std::uintptr_t check_ = 0;
};

struct adopt_core {
  chan_core* core;  // carries one reference
};

template <handle_kind Kind>
class handle : public handle_base {
 public:
  static constexpr handle_kind kind = Kind;

  constexpr handle() noexcept = default;
  explicit handle(adopt_core a) noexcept { set(a.core, Kind); }
  handle(const handle& other) noexcept { set(ref(other.core()), Kind); }
  handle(handle&& other) noexcept { set(other.take(), Kind); }
  handle& operator=(const handle& other) noexcept {
    chan_core* core = ref(other.core());
    unref(take());
    set(core, Kind);
    return *this;
  }
  handle& operator=(handle&& other) noexcept {
    chan_core* core = other.take();
    unref(take());
    set(core, Kind);
    return *this;
  }
  ~handle() { unref(take()); }

  explicit operator bool() const noexcept { return core() != nullptr; }

 protected:
  // Narrowing from a full handle; a one-way handle cannot be widened.
  explicit handle(const handle_base& full) noexcept { set(ref(full.core()), Kind); }
};

// Invariant 3.
class operation_mark : handle_base {
 public:
  template <handle_kind Kind>
  [[gnu::always_inline]] inline explicit operation_mark(const handle<Kind>& of) noexcept {
    set(of.core(), static_cast<std::uintptr_t>(Kind) + handle_kinds);
  }
  [[gnu::always_inline]] inline ~operation_mark() { take(); }
  operation_mark(const operation_mark&) = delete;
  operation_mark& operator=(const operation_mark&) = delete;
};

}  // namespace stray::detail

#pragma GCC visibility pop
