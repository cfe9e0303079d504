// select: waits for the first of several channel operations.
//
//   std::size_t i = stray::select(stray::on_recv(rx, [&](std::optional<int> v) { ... }),
//                                 stray::on_send(tx, 5, [&] { ... }),
//                                 stray::on_timeout(100ms, [&] { ... }),
//                                 stray::on_default([&] { ... }));
//
// Returns the index of the chosen case after its handler has run; handlers are optional. Among cases that can go the choice is random
// and fair. select() without cases blocks for ever. A chosen send on a closed channel throws stray::panic "send on closed channel".
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <stray/chan.hpp>
#include <stray/detail/duration.hpp>
#include <stray/detail/keep_frame.hpp>

#pragma GCC visibility push(default)

namespace stray {
namespace detail {

struct case_tag {};
struct no_handler {};

enum class case_role { operation, timeout, fallback };

// take: called in any case. What it returns is the handler's own argument, or ends before the handler begins: no copy of ours lives beside it.
template <class Handler, class Take>
void call_handler(Handler& handler, Take take) {
  if constexpr (std::is_same_v<Handler, no_handler>) {
    (void)handler;
    (void)take();
  } else if constexpr (std::is_invocable_v<Handler&, decltype(take())>) {
    handler(take());
  } else {
    static_assert(std::is_invocable_v<Handler&>, "a receive handler takes std::optional<T> (bool for void) or nothing");
    (void)take();
    handler();
  }
}

template <class T, class Handler>
class recv_case : public case_tag {
 public:
  static constexpr case_role role = case_role::operation;
  template <class Ch>
  recv_case(const Ch& from, Handler handler) : from_(from), handler_(std::move(handler)) {}
  recv_case(recv_case&& other) noexcept(std::is_nothrow_move_constructible_v<Handler>)
      : from_(std::move(other.from_)), handler_(std::move(other.handler_)) {}

  case_ref ref() noexcept {
    if constexpr (std::is_void_v<T>) {
      return {from_.core(), nullptr, direction::recv};
    } else {
      slot_.clear();
      return {from_.core(), slot_.raw(), direction::recv};
    }
  }
  // Not inline: the value and what the handler gets of it lie in frames that are gone when the next wait begins.
  [[gnu::noinline]] void complete(bool ok) {
    if constexpr (std::is_void_v<T>) {
      call_handler(handler_, [ok] { return ok; });
    } else {
      call_handler(handler_, [this, ok] {
        std::optional<T> value;
        if (ok) {
          slot_.filled();
          slot_.take_to(value);
        }
        return value;
      });
    }
  }

 private:
  struct nothing {};
  recv_chan<T> from_;
  [[no_unique_address]] Handler handler_;
  [[no_unique_address]] std::conditional_t<std::is_void_v<T>, nothing,
                                           element_slot<std::conditional_t<std::is_void_v<T>, int, T>>>
      slot_;
};

template <class T, class Handler>
class send_case : public case_tag {
 public:
  static constexpr case_role role = case_role::operation;
  template <class Ch, class V>
  send_case(const Ch& to, V&& value, Handler handler) : to_(to), handler_(std::move(handler)) {
    slot_.emplace(std::forward<V>(value));
  }
  send_case(send_case&& other) : to_(std::move(other.to_)), handler_(std::move(other.handler_)) {
    if (other.slot_.full()) {
      ops_of<T>.move(slot_.raw(), other.slot_.raw());
      slot_.filled();
      other.slot_.reset();
    }
  }
  case_ref ref() noexcept { return {to_.core(), slot_.full() ? slot_.raw() : nullptr, direction::send}; }
  void complete(bool) {
    slot_.reset();
    call_handler0();
  }

 private:
  void call_handler0() {
    if constexpr (!std::is_same_v<Handler, no_handler>) handler_();
  }
  send_chan<T> to_;
  [[no_unique_address]] Handler handler_;
  element_slot<T> slot_;
};

template <class Handler>
class send_case<void, Handler> : public case_tag {
 public:
  static constexpr case_role role = case_role::operation;
  template <class Ch>
  send_case(const Ch& to, Handler handler) : to_(to), handler_(std::move(handler)) {}
  case_ref ref() noexcept { return {to_.core(), &to_, direction::send}; }  // any non-null address: there is nothing to move
  void complete(bool) {
    if constexpr (!std::is_same_v<Handler, no_handler>) handler_();
  }

 private:
  send_chan<void> to_;
  [[no_unique_address]] Handler handler_;
};

template <class Handler>
struct timeout_case : public case_tag {
  static constexpr case_role role = case_role::timeout;
  std::int64_t ns;
  [[no_unique_address]] Handler handler;
  timeout_case(std::int64_t n, Handler h) : ns(n), handler(std::move(h)) {}
  case_ref ref() noexcept { return {}; }
  void complete(bool) {
    if constexpr (!std::is_same_v<Handler, no_handler>) handler();
  }
};
template <class Handler>
struct default_case : public case_tag {
  static constexpr case_role role = case_role::fallback;
  [[no_unique_address]] Handler handler;
  explicit default_case(Handler h) : handler(std::move(h)) {}
  case_ref ref() noexcept { return {}; }
  void complete(bool) {
    if constexpr (!std::is_same_v<Handler, no_handler>) handler();
  }
};

template <class C>
concept select_case_object = std::derived_from<std::remove_cvref_t<C>, case_tag>;

template <class T>
std::int64_t timeout_of(T& c) noexcept {
  if constexpr (std::remove_cvref_t<T>::role == case_role::timeout) {
    return c.ns < 0 ? 0 : c.ns;
  } else {
    return no_timeout;
  }
}

// Type-erased; used by select_case only.
struct any_case {
  case_role role = case_role::operation;
  std::int64_t ns = no_timeout;
  virtual case_ref ref() noexcept = 0;
  virtual void complete(bool ok) = 0;
  virtual ~any_case() = default;
};
template <class C>
struct any_case_of final : any_case {
  C object;
  explicit any_case_of(C&& c) : object(std::move(c)) {
    role = C::role;
    ns = timeout_of(object);
  }
  case_ref ref() noexcept override { return object.ref(); }
  void complete(bool ok) override { object.complete(ok); }
};

}  // namespace detail

// A case that receives; h takes std::optional<T> (nullopt: closed; `bool` for chan<void>), or nothing.
template <class Ch, class Handler = detail::no_handler>
auto on_recv(const Ch& ch, Handler handler = {}) {
  using T = typename Ch::value_type;
  return detail::recv_case<T, Handler>(ch, std::move(handler));
}
// A case that sends; the value is converted at once, and moved on only if the case is chosen.
template <class Ch, class V, class Handler = detail::no_handler>
  requires(!std::is_void_v<typename Ch::value_type>)
auto on_send(const Ch& ch, V&& value, Handler handler = {}) {
  using T = typename Ch::value_type;
  return detail::send_case<T, Handler>(ch, T(std::forward<V>(value)), std::move(handler));
}
template <class Ch, class Handler = detail::no_handler>
  requires std::is_void_v<typename Ch::value_type>
auto on_send(const Ch& ch, Handler handler = {}) {
  return detail::send_case<void, Handler>(ch, std::move(handler));
}
// Chosen when no other case could go for d. The shortest counts when there are several.
template <class Rep, class Period, class Handler = detail::no_handler>
auto on_timeout(const std::chrono::duration<Rep, Period>& d, Handler handler = {}) {
  return detail::timeout_case<Handler>(detail::wait_ns(d), std::move(handler));
}
// Chosen when no other case can go at once.
template <class Handler = detail::no_handler>
auto on_default(Handler handler = {}) {
  return detail::default_case<Handler>(std::move(handler));
}

class select_case;
namespace detail {
std::size_t select_dynamic(std::span<select_case> cases);
}

// Any case, for a dynamic select. Move-only. A send case that fired is empty: choosing it again throws stray::panic.
class select_case {
 public:
  template <class C>
    requires(detail::select_case_object<C> && !std::is_lvalue_reference_v<C>)
  select_case(C&& c) : case_(std::make_unique<detail::any_case_of<C>>(std::move(c))) {}

 private:
  friend std::size_t detail::select_dynamic(std::span<select_case> cases);
  std::unique_ptr<detail::any_case> case_;
};

namespace detail {
template <class... Cases>
std::size_t select_static(Cases&... cases) {
  constexpr std::size_t n = sizeof...(Cases);
  detail::case_ref refs[n] = {cases.ref()...};
  constexpr detail::case_role roles[n] = {std::remove_cvref_t<Cases>::role...};
  std::size_t place[n] = {};  // operation number -> case
  std::size_t operations = 0, timeout_index = detail::no_case, default_index = detail::no_case;
  const std::int64_t waits[n] = {detail::timeout_of(cases)...};
  for (std::size_t i = 0; i < n; i++) {
    if (roles[i] == detail::case_role::operation) {
      refs[operations] = refs[i];
      place[operations++] = i;
    } else if (roles[i] == detail::case_role::timeout) {
      if (timeout_index == detail::no_case || waits[i] < waits[timeout_index]) timeout_index = i;
    } else {
      default_index = i;
    }
  }
  STRAY_FORGET_WHAT_WAS;
  detail::select_result r = detail::select_wait(refs, operations, default_index != detail::no_case,
                                                timeout_index == detail::no_case ? detail::no_timeout : waits[timeout_index]);
  std::size_t chosen = r.index != detail::no_case         ? place[r.index]
                       : default_index != detail::no_case ? default_index
                                                          : timeout_index;
  std::size_t i = 0;
  ((i++ == chosen ? cases.complete(r.ok) : void()), ...);
  return chosen;
}
}  // namespace detail

template <class... Cases>
  requires(sizeof...(Cases) > 0 && (detail::select_case_object<Cases> && ...))
[[gnu::always_inline]] inline std::size_t select(Cases&&... cases) {
  std::size_t chosen = detail::select_static(cases...);
  STRAY_KEEP_FRAME;
  return chosen;
}
// Blocks for ever.
[[gnu::always_inline]] inline void select() {
  detail::select_nothing();
  STRAY_KEEP_FRAME;
}
// Dynamic: any number of cases, none of them consumed (but see select_case).
[[gnu::always_inline]] inline std::size_t select(std::span<select_case> cases) {
  std::size_t chosen = detail::select_dynamic(cases);
  STRAY_KEEP_FRAME;
  return chosen;
}

}  // namespace stray

#pragma GCC visibility pop
