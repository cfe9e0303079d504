// Contexts: cancellation, deadlines and values that travel down a tree of calls. Go's semantics.
//
//   auto [ctx, cancel] = stray::with_timeout(parent, 2s);
//   stray::select(stray::on_recv(result, ...), stray::on_recv(ctx.done(), [&](bool) { report(ctx.err()); }));
//   cancel();
//
// A context is a handle to a view: it tells, and derives; it cannot cancel. Only a cancel_func can, of its own context and all that are
// derived from it, and a deadline or a stop_token that was given. The detector knows: who waits on done() is leaked once nothing of
// these is left, whoever holds the context. All of it may be used by goroutines and OS threads at the same time (one handle object is
// not synchronised, copies of it are); nothing here blocks. When the last cancel_func, context and done() of a context are gone, so is its
// place in its parent.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <stray/chan.hpp>
#include <stray/detail/duration.hpp>
#include <stray/detail/exceptions.hpp>
#include <stray/go.hpp>
#include <stray/panic.hpp>

#pragma GCC visibility push(default)

namespace stray {

// What context::err says; the messages are Go's: "context canceled", "context deadline exceeded". They compare equal to
// std::errc::operation_canceled and std::errc::timed_out.
enum class context_errc { none = 0, canceled = 1, deadline_exceeded = 2 };
const std::error_category& context_category() noexcept;
inline std::error_code make_error_code(context_errc e) noexcept { return {static_cast<int>(e), context_category()}; }

namespace detail {

struct cancel_view;      // src/sync/context_tree.h
struct context_control;  // the same

// One link of the chain that a context leads to, in the ordinary heap.
struct context_view {
  std::atomic<std::uint32_t> handles{1};  // contexts, and views below
  context_view* parent = nullptr;         // counted; nullptr: background
  cancel_view* cancel = nullptr;          // this or the nearest one above that can be cancelled; nullptr: none
  // The value here if the key matches (of any type: *type says which), otherwise nullptr. nullptr: no value here.
  const void* (*find)(const context_view* v, const void* key_type, const void* key, const void** type) = nullptr;
  void (*destroy)(context_view* v) noexcept = nullptr;
};

template <class T>
inline constexpr char type_tag = 0;  // its address names the type

template <class K>
inline constexpr bool is_text = std::is_convertible_v<const K&, std::string_view>;
template <class K>
using key_type_t = std::conditional_t<is_text<K>, std::string, std::decay_t<K>>;

template <class K, class V>
struct value_view final : context_view {
  K key;
  V value;
  template <class K2, class V2>
  value_view(K2&& k, V2&& v) : key(std::forward<K2>(k)), value(std::forward<V2>(v)) {
    find = [](const context_view* at, const void* key_type, const void* wanted, const void** type) -> const void* {
      auto* self = static_cast<const value_view*>(at);
      if (key_type != &type_tag<K>) return nullptr;
      using given = std::conditional_t<std::is_same_v<K, std::string>, std::string_view, K>;
      if (!(self->key == *static_cast<const given*>(wanted))) return nullptr;
      *type = &type_tag<V>;
      return std::addressof(self->value);
    };
    destroy = [](context_view* at) noexcept { delete static_cast<value_view*>(at); };
  }
};

template <class K>
std::string_view text_key(const K& key) {
  if constexpr (std::is_pointer_v<K>) {
    if (key == nullptr) throw_panic("nil key");
  }
  return std::string_view(key);
}

inline void view_ref(context_view* v) noexcept {
  if (v != nullptr) v->handles.fetch_add(1, std::memory_order_relaxed);  // order: made from one that is held
}
void view_unref(context_view* v) noexcept;  // may run destructors of users' values
void view_attach(context_view* v, context_view* parent) noexcept;
recv_chan<void> view_done(const context_view* v) noexcept;
context_errc view_err(const context_view* v);
std::optional<time_point> view_deadline(const context_view* v) noexcept;
std::stop_token view_stop_token(const context_view* v);

void control_ref(context_control* c) noexcept;
void control_unref(context_control* c) noexcept;
void control_cancel(context_control* c) noexcept;

struct new_context {
  context_view* view;        // carries one handle
  context_control* control;  // the same
};
new_context make_cancelable(context_view* parent);
new_context make_timeout(context_view* parent, std::int64_t ns);
new_context make_deadline(context_view* parent, time_point when);
new_context make_stoppable(context_view* parent, const std::stop_token& token);

}  // namespace detail

// A default-constructed or moved-from context is background().
class context {
 public:
  constexpr context() noexcept = default;
  context(const context& other) noexcept : view_(other.view_) { detail::view_ref(view_); }
  context(context&& other) noexcept : view_(std::exchange(other.view_, nullptr)) {}
  context& operator=(context other) noexcept {
    std::swap(view_, other.view_);
    return *this;
  }
  ~context() { detail::view_unref(view_); }

  // Closed when the context is cancelled. Nil for background and what only values were added to: a receive from it blocks for ever, and is
  // a leak.
  recv_chan<void> done() const noexcept { return detail::view_done(view_); }
  // none until it is cancelled; other than none only when done() is closed.
  std::error_code err() const { return make_error_code(detail::view_err(view_)); }
  // Its own or an ancestor's, whichever is earlier.
  std::optional<time_point> deadline() const noexcept { return detail::view_deadline(view_); }
  // A copy of the value of the nearest with_value with that key; nullopt: there is none, or it is not of type T. Keys match when they have
  // the same type and compare equal; string literals, std::string and std::string_view are one type.
  template <class T, class K>
  std::optional<T> value(const K& key) const {
    const void* type = nullptr;
    const void* found = nullptr;
    if constexpr (detail::is_text<K>) {
      std::string_view text = detail::text_key(key);
      found = lookup(&detail::type_tag<std::string>, &text, &type);
    } else {
      const std::decay_t<K>& plain = key;
      found = lookup(&detail::type_tag<std::decay_t<K>>, std::addressof(plain), &type);
    }
    if (found == nullptr || type != &detail::type_tag<T>) return std::nullopt;
    return *static_cast<const T*>(found);
  }
  // Requested when this context is cancelled; callbacks run in the thread that calls cancel, after the whole tree is cancelled, or in a
  // goroutine when a deadline or another stop_token cancelled it. Of background: never (stop_possible() is false).
  std::stop_token stop_token() const { return detail::view_stop_token(view_); }

  friend bool operator==(const context& a, const context& b) noexcept { return a.view_ == b.view_; }

  explicit context(detail::context_view* adopt) noexcept : view_(adopt) {}
  detail::context_view* view() const noexcept { return view_; }

 private:
  const void* lookup(const void* key_type, const void* key, const void** type) const {
    for (const detail::context_view* v = view_; v != nullptr; v = v->parent) {
      if (v->find == nullptr) continue;
      if (const void* found = v->find(v, key_type, key, type)) return found;
    }
    return nullptr;
  }
  detail::context_view* view_ = nullptr;
};

// Cancels its context and all that are derived from it: their done() are closed when it returns (or about to be, by one who cancels at the
// same time). The first cancellation decides err(). Does nothing when it is empty. Dropping it does not cancel.
class cancel_func {
 public:
  constexpr cancel_func() noexcept = default;
  cancel_func(const cancel_func& other) noexcept : control_(other.control_) { detail::control_ref(control_); }
  cancel_func(cancel_func&& other) noexcept : control_(std::exchange(other.control_, nullptr)) {}
  cancel_func& operator=(cancel_func other) noexcept {
    std::swap(control_, other.control_);
    return *this;
  }
  ~cancel_func() { detail::control_unref(control_); }

  void operator()() const noexcept { detail::control_cancel(control_); }
  explicit operator bool() const noexcept { return control_ != nullptr; }

  explicit cancel_func(detail::context_control* adopt) noexcept : control_(adopt) {}

 private:
  detail::context_control* control_ = nullptr;
};

// auto [ctx, cancel] = with_...(parent, ...);
struct [[nodiscard]] cancelable_context {
  context ctx;
  cancel_func cancel;

  explicit cancelable_context(detail::new_context made) noexcept : ctx(made.view), cancel(made.control) {}
};

// Never cancelled, no deadline, no values.
inline context background() noexcept { return {}; }

// The functions below throw std::bad_alloc, and then nothing has happened. A context derived from a cancelled one is cancelled.
[[gnu::always_inline]] inline cancelable_context with_cancel(const context& parent) {
  return cancelable_context(detail::make_cancelable(parent.view()));
}
// Cancelled with deadline_exceeded once d has passed. A parent's earlier deadline stays.
template <class Rep, class Period>
[[gnu::always_inline]] inline cancelable_context with_timeout(const context& parent,
                                                              const std::chrono::duration<Rep, Period>& d) {
  return cancelable_context(detail::make_timeout(parent.view(), detail::wait_ns(d)));
}
[[gnu::always_inline]] inline cancelable_context with_deadline(const context& parent, time_point when) {
  return cancelable_context(detail::make_deadline(parent.view(), when));
}
// Cancelled, with canceled, when stop is requested.
[[gnu::always_inline]] inline cancelable_context with_stop_token(const context& parent, const std::stop_token& token) {
  return cancelable_context(detail::make_stoppable(parent.view(), token));
}
// key: any copyable type with ==; string literals, std::string and std::string_view are compared as strings. Use a type of your own, so
// that no other library has the same key. The value is decay-copied. Throws also what copying throws, and stray::panic "nil key" for a null
// const char*.
template <class K, class V>
[[nodiscard]] context with_value(const context& parent, K&& key, V&& value) {
  using plain_key = std::remove_cvref_t<K>;
  using key_type = detail::key_type_t<plain_key>;
  static_assert(std::equality_comparable<key_type> && std::copy_constructible<key_type>, "a key is copyable and has ==");
  detail::context_view* v;
  if constexpr (detail::is_text<plain_key>) {
    v = new detail::value_view<key_type, std::decay_t<V>>(std::string(detail::text_key(key)), std::forward<V>(value));
  } else {
    v = new detail::value_view<key_type, std::decay_t<V>>(std::forward<K>(key), std::forward<V>(value));
  }
  detail::view_attach(v, parent.view());
  return context(v);
}

}  // namespace stray

#pragma GCC visibility pop

template <>
struct std::is_error_code_enum<stray::context_errc> : std::true_type {};
