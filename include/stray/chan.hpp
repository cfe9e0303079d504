// Channels: chan<T> and its one-way handles send_chan<T> and recv_chan<T>.
//
// Handles are cheap, copyable, compared by identity; a default-constructed or moved-from handle is nil. One handle object is not
// synchronised, copies of it are (as with shared_ptr). Every operation may be called by a goroutine or by any OS thread.
#pragma once

#include <cstddef>
#include <cstring>
#include <iterator>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <stray/detail/chan_ops.hpp>
#include <stray/detail/exceptions.hpp>
#include <stray/detail/keep_frame.hpp>
#include <stray/panic.hpp>

#pragma GCC visibility push(default)

namespace stray {

template <class T>
class chan;
template <class T>
class send_chan;
template <class T>
class recv_chan;

// A new channel with room for `capacity` elements; 0: unbuffered, a send waits for its receiver.
// T may be move-only and over-aligned; chan<void> carries no value. Throws std::bad_alloc.
// A move constructor of T that may not throw runs while the channel is locked: it must not block, nor use the channel (it would wait for
// itself, for ever). Copies, destructors, and moves that may throw run outside of the lock.
template <class T>
[[nodiscard, gnu::always_inline]] inline chan<T> make_chan(std::size_t capacity = 0);

namespace detail {

// Of a trivially copyable T no code of the user's runs.
struct no_mark {
  template <handle_kind Kind>
  constexpr explicit no_mark(const handle<Kind>&) noexcept {}
};
template <class T>
using mark_of = std::conditional_t<std::is_trivially_copyable_v<T>, no_mark, operation_mark>;

template <class T>
void send_copy(chan_core* core, const T& value) {
  element_slot<T> slot;
  slot.emplace(value);
  chan_send(core, slot.raw());
}
// A value whose move may throw travels in a box, made before any lock; it goes back to its owner when nothing was sent.
template <class T>
class boxed_value {
 public:
  explicit boxed_value(T& from) : from_(from) { slot_.emplace(std::move_if_noexcept(from)); }
  void* raw() noexcept { return slot_.raw(); }
  void give_back() {
    if constexpr (!std::is_copy_constructible_v<T>) {
      std::optional<T> back;
      slot_.take_to(back);
      from_ = std::move(*back);
    }
  }

 private:
  T& from_;
  element_slot<T> slot_;
};

// A trivial value not from where it is: a temporary's bytes would stay in the caller's frame.
template <class T>
[[gnu::always_inline]] inline void send_here(chan_core* core, T& value) {
  if constexpr (std::is_trivially_copyable_v<T>) {
    send_copy<T>(core, value);
  } else {
    chan_send(core, std::addressof(value));
  }
}
template <class T>
void send_move(chan_core* core, T&& value) {
  if constexpr (carrier<T>::boxed) {
    boxed_value<T> box(value);
    if constexpr (std::is_copy_constructible_v<
                      T>) {  // it was copied: without a handler here leak::reclaim can unwind the sender
      chan_send(core, box.raw());
    } else {
      STRAY_TRY { chan_send(core, box.raw()); }
      STRAY_UNDO(box.give_back())
    }
  } else {
    send_here(core, value);
    STRAY_KEEP_FRAME;
  }
}
template <class T>
bool try_send_copy(chan_core* core, const T& value) {
  element_slot<T> slot;
  slot.emplace(value);
  return chan_try_send(core, slot.raw());
}
template <class T>
bool try_send_move(chan_core* core, T&& value) {
  if constexpr (carrier<T>::boxed) {
    boxed_value<T> box(value);
    bool sent = false;
    STRAY_TRY { sent = chan_try_send(core, box.raw()); }
    STRAY_UNDO(box.give_back())
    if (!sent) box.give_back();
    return sent;
  } else if constexpr (std::is_trivially_copyable_v<T>) {
    return try_send_copy<T>(core, value);
  } else {
    return chan_try_send(core, std::addressof(value));
  }
}
// Blocks; `empty` stays so when the channel is closed.
template <class T>
[[gnu::always_inline]] inline void recv_to(chan_core* core, std::optional<T>& empty) {
  element_slot<T> slot;
  slot.clear();
  if (!chan_recv(core, slot.raw())) return;
  slot.filled();
  slot.take_to(empty);
}
template <class T>
void begin_empty(std::optional<T>& value) noexcept {
  wipe(&value, sizeof value);
  ::new (static_cast<void*>(&value)) std::optional<T>();
}
// The result stands where the caller's last one stood, in a loop: the wait begins when nothing is left of that.
template <class T>
std::optional<T> recv_value(chan_core* core) {
  std::optional<T> value;
  begin_empty(value);
  recv_to(core, value);
  return value;
}
template <class T>
chan_status try_recv_value(chan_core* core, std::optional<T>& out) {
  element_slot<T> slot;
  chan_status status = chan_try_recv(core, slot.raw());
  out.reset();
  if (status == chan_status::ok) {
    slot.filled();
    slot.take_to(out);
  }
  return status;
}

// Receives until the channel is closed and drained; the end of `for (T v : ch)`.
template <class T>
class recv_iterator {
 public:
  using value_type = T;
  using difference_type = std::ptrdiff_t;

  recv_iterator() noexcept = default;
  explicit recv_iterator(const handle<handle_kind::recv>& from) : from_(from) { recv_to(from_.core(), value_); }

  T& operator*() { return *value_; }
  // The last element is destroyed, and its bytes are gone, before the wait for the next one begins.
  [[gnu::always_inline]] inline recv_iterator& operator++() {
    value_.reset();
    begin_empty(value_);
    STRAY_FORGET_WHAT_WAS;
    recv_to(from_.core(), value_);
    STRAY_KEEP_FRAME;
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t) const noexcept { return !value_.has_value(); }

 private:
  handle<handle_kind::recv> from_;
  std::optional<T> value_;
};

}  // namespace detail

// The operations, by direction. `Self` is the handle class (no virtual, no state).
#define STRAY_CHAN_SEND_OPERATIONS                                                                                                    \
  /* Waits until a receiver or room in the buffer takes the value. Throws stray::panic "send on closed channel" (the value is left */ \
  /* as it was). On a nil channel it blocks for ever. */                                                                              \
  void send(const T& value) const {                                                                                                   \
    [[maybe_unused]] detail::mark_of<T> mark(*this);                                                                                  \
    detail::send_copy<T>(this->core(), value);                                                                                        \
  }                                                                                                                                   \
  [[gnu::always_inline]] inline void send(T&& value) const {                                                                          \
    [[maybe_unused]] detail::mark_of<T> mark(*this);                                                                                  \
    detail::send_move<T>(this->core(), std::move(value));                                                                             \
    STRAY_KEEP_FRAME;                                                                                                                 \
  }                                                                                                                                   \
  /* Never waits; false: no receiver and no room, or nil (the value is left as it was). Throws as send does. */                       \
  bool try_send(const T& value) const {                                                                                               \
    [[maybe_unused]] detail::mark_of<T> mark(*this);                                                                                  \
    return detail::try_send_copy<T>(this->core(), value);                                                                             \
  }                                                                                                                                   \
  bool try_send(T&& value) const {                                                                                                    \
    [[maybe_unused]] detail::mark_of<T> mark(*this);                                                                                  \
    return detail::try_send_move<T>(this->core(), std::move(value));                                                                  \
  }                                                                                                                                   \
  STRAY_CHAN_CLOSE_OPERATION

#define STRAY_CHAN_CLOSE_OPERATION                                                                                    \
  /* No more sends; receivers drain the buffer, then get nullopt. Throws stray::panic "close of closed channel" or */ \
  /* "close of nil channel". Wakes all that wait. */                                                                  \
  void close() const { detail::chan_close(this->core()); }

#define STRAY_CHAN_RECV_OPERATIONS                                                           \
  /* Waits for a value; nullopt: closed and drained. On a nil channel it blocks for ever. */ \
  [[gnu::always_inline]] inline std::optional<T> recv() const {                              \
    [[maybe_unused]] detail::mark_of<T> mark(*this);                                         \
    STRAY_FORGET_WHAT_WAS;                                                                   \
    std::optional<T> value = detail::recv_value<T>(this->core());                            \
    STRAY_KEEP_FRAME;                                                                        \
    return value;                                                                            \
  }                                                                                          \
  /* Never waits; on ok `out` holds the value, otherwise it is empty. */                     \
  chan_status try_recv(std::optional<T>& out) const {                                        \
    [[maybe_unused]] detail::mark_of<T> mark(*this);                                         \
    return detail::try_recv_value<T>(this->core(), out);                                     \
  }                                                                                          \
  /* for (T v : ch): receives until closed and drained. */                                   \
  [[gnu::always_inline]] inline detail::recv_iterator<T> begin() const {                     \
    detail::recv_iterator<T> first{recv_chan<T>(*this)};                                     \
    STRAY_KEEP_FRAME;                                                                        \
    return first;                                                                            \
  }                                                                                          \
  std::default_sentinel_t end() const noexcept { return {}; }

#define STRAY_CHAN_COMMON_OPERATIONS                                                 \
  /* Elements in the buffer now, and its room; 0 for nil and unbuffered channels. */ \
  std::size_t len() const noexcept { return detail::chan_len(this->core()); }        \
  std::size_t cap() const noexcept { return detail::chan_cap(this->core()); }

// Both directions.
template <class T>
class chan : public detail::handle<detail::handle_kind::full> {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>, "a channel carries values: no references, no const");

 public:
  using value_type = T;
  using detail::handle<detail::handle_kind::full>::handle;
  STRAY_CHAN_SEND_OPERATIONS
  STRAY_CHAN_RECV_OPERATIONS
  STRAY_CHAN_COMMON_OPERATIONS
  friend bool operator==(const chan& a, const chan& b) noexcept { return a.core() == b.core(); }
};

// May send and close, so its holder can wake a receiver, and (by close) a blocked sender.
template <class T>
class send_chan : public detail::handle<detail::handle_kind::send> {
 public:
  using value_type = T;
  constexpr send_chan() noexcept = default;
  send_chan(const chan<T>& full) noexcept : handle(static_cast<const detail::handle_base&>(full)) {}
  STRAY_CHAN_SEND_OPERATIONS
  STRAY_CHAN_COMMON_OPERATIONS
  friend bool operator==(const send_chan& a, const send_chan& b) noexcept { return a.core() == b.core(); }
};

// May only receive: the detector knows that its holder can never wake a receiver.
template <class T>
class recv_chan : public detail::handle<detail::handle_kind::recv> {
 public:
  using value_type = T;
  constexpr recv_chan() noexcept = default;
  recv_chan(const chan<T>& full) noexcept : handle(static_cast<const detail::handle_base&>(full)) {}
  STRAY_CHAN_RECV_OPERATIONS
  STRAY_CHAN_COMMON_OPERATIONS
  friend bool operator==(const recv_chan& a, const recv_chan& b) noexcept { return a.core() == b.core(); }
};

#define STRAY_CHAN_VOID_SEND                                                     \
  [[gnu::always_inline]] inline void send() const {                              \
    detail::chan_send(this->core(), nullptr);                                    \
    STRAY_KEEP_FRAME;                                                            \
  }                                                                              \
  bool try_send() const { return detail::chan_try_send(this->core(), nullptr); } \
  STRAY_CHAN_CLOSE_OPERATION
#define STRAY_CHAN_VOID_RECV                                   \
  /* true: a signal was received; false: closed and drained */ \
  [[gnu::always_inline]] inline bool recv() const {            \
    bool open = detail::chan_recv(this->core(), nullptr);      \
    STRAY_KEEP_FRAME;                                          \
    return open;                                               \
  }                                                            \
  chan_status try_recv() const { return detail::chan_try_recv(this->core(), nullptr); }

template <>
class chan<void> : public detail::handle<detail::handle_kind::full> {
 public:
  using value_type = void;
  using detail::handle<detail::handle_kind::full>::handle;
  STRAY_CHAN_VOID_SEND
  STRAY_CHAN_VOID_RECV
  STRAY_CHAN_COMMON_OPERATIONS
  friend bool operator==(const chan& a, const chan& b) noexcept { return a.core() == b.core(); }
};
template <>
class send_chan<void> : public detail::handle<detail::handle_kind::send> {
 public:
  using value_type = void;
  constexpr send_chan() noexcept = default;
  send_chan(const chan<void>& full) noexcept : handle(static_cast<const detail::handle_base&>(full)) {}
  STRAY_CHAN_VOID_SEND
  STRAY_CHAN_COMMON_OPERATIONS
  friend bool operator==(const send_chan& a, const send_chan& b) noexcept { return a.core() == b.core(); }
};
template <>
class recv_chan<void> : public detail::handle<detail::handle_kind::recv> {
 public:
  using value_type = void;
  constexpr recv_chan() noexcept = default;
  recv_chan(const chan<void>& full) noexcept : handle(static_cast<const detail::handle_base&>(full)) {}
  STRAY_CHAN_VOID_RECV
  STRAY_CHAN_COMMON_OPERATIONS
  friend bool operator==(const recv_chan& a, const recv_chan& b) noexcept { return a.core() == b.core(); }
};

#undef STRAY_CHAN_SEND_OPERATIONS
#undef STRAY_CHAN_CLOSE_OPERATION
#undef STRAY_CHAN_RECV_OPERATIONS
#undef STRAY_CHAN_COMMON_OPERATIONS
#undef STRAY_CHAN_VOID_SEND
#undef STRAY_CHAN_VOID_RECV

// always_inline: the return address of chan_make is then a line of the user's, "made at".
template <class T>
[[gnu::always_inline]] inline chan<T> make_chan(std::size_t capacity) {
  detail::chan_core* core = detail::chan_make(detail::ops_of<T>, capacity);
  STRAY_KEEP_FRAME;
  return chan<T>(detail::adopt_core{core});
}

}  // namespace stray

#pragma GCC visibility pop
