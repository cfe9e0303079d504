#include <stray/context.hpp>

#include <memory>
#include <new>

#include "runtime/scheduler.h"
#include "sync/chan_core.h"
#include "sync/context_tree.h"

namespace stray {

using detail::cancel_view;
using detail::context_control;
using detail::context_view;

namespace {

// The deadline. Its reference comes with it.
void expire(runtime::timer_entry* e, std::uint64_t seq, std::int64_t) noexcept {
  static_assert(__builtin_offsetof(context_control, deadline) == 0);
  auto* c = reinterpret_cast<context_control*>(e);
  if (runtime::take_due(e, seq)) sync::cancel_tree(c, context_errc::deadline_exceeded, false);
  sync::release(c);
}

// --- making -------------------------------------------------------------------------------------------------------------------------

struct view_release {
  void operator()(context_view* v) const noexcept { detail::view_unref(v); }
};
struct reference_release {
  void operator()(context_control* c) const noexcept { sync::release(c); }
};
using reference = std::unique_ptr<context_control, reference_release>;
struct control_release {
  void operator()(context_control* c) const noexcept { detail::control_unref(c); }
};
// Both with one handle, which goes with the object.
struct pair {
  std::unique_ptr<context_view, view_release> view;
  std::unique_ptr<context_control, control_release> control;
  detail::new_context give() noexcept { return {view.release(), control.release()}; }
};

void destroy_view(context_view* at) noexcept {
  auto* v = static_cast<cancel_view*>(at);
  v->done = {};
  if (reference c{sync::control_of(v)}) sync::drop_if_useless(c.get());
  sync::release_weak(v);
}

pair make(context_view* parent, std::uintptr_t made_at) {
  auto* v = new cancel_view;
  v->destroy = destroy_view;
  v->cancel = v;
  pair made;
  made.view.reset(v);
  auto c = std::make_unique<context_control>();
  c->done = make_chan<void>();
  c->done.core()->made_at = made_at;
  c->made_at = made_at;
  c->maker = goroutine_id();
  v->done = c->done;
  c->view = sync::masked(v);
  v->weak.fetch_add(1);
  v->control = sync::masked(c.get());
  made.control.reset(c.release());
  cancel_view* above = parent == nullptr ? nullptr : parent->cancel;
  detail::view_attach(v, parent);
  v->cancel = v;
  if (above == nullptr) return made;
  v->deadline_ns = above->deadline_ns;

  context_control* child = made.control.get();
  context_errc why = context_errc::none;
  if (reference p{sync::control_of(above)}) {
    why = sync::add_child(p.get(), child);
  } else {
    why = detail::view_err(above);
  }
  if (why != context_errc::none) sync::cancel_tree(child, why, true);
  return made;
}

// The context gets the deadline unless an earlier one is above.
pair make_timed(context_view* parent, std::int64_t when_ns, std::uintptr_t made_at) {
  pair made = make(parent, made_at);
  auto* v = static_cast<cancel_view*>(made.view.get());
  if (v->deadline_ns <= when_ns) return made;
  v->deadline_ns = when_ns;
  context_control* c = made.control.get();
  if (when_ns <= runtime::timer_now_ns()) {
    sync::cancel_tree(c, context_errc::deadline_exceeded, true);
    return made;
  }
  bool earliest = false;
  c->deadline.fire = expire;
  c->lock.lock();
  if (c->err == 0) {
    sync::hold(c);
    earliest = runtime::arm_callback(&c->deadline, when_ns);
  }
  c->lock.unlock();
  if (earliest) runtime::wake_for_timer();
  return made;
}

class category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "context"; }
  std::string message(int e) const override {
    switch (static_cast<context_errc>(e)) {
      case context_errc::canceled:
        return "context canceled";
      case context_errc::deadline_exceeded:
        return "context deadline exceeded";
      default:
        return "none";
    }
  }
  std::error_condition default_error_condition(int e) const noexcept override {
    switch (static_cast<context_errc>(e)) {
      case context_errc::canceled:
        return std::errc::operation_canceled;
      case context_errc::deadline_exceeded:
        return std::errc::timed_out;
      default:
        return {e, *this};
    }
  }
};

}  // namespace

// Our own callback: never parks (so that the goroutine ends it on the thread on which it began), hence no callbacks of users from here.
void detail::stop_bridge::call::operator()() const noexcept {
  context_control* c = bridge->control;
  sync::hold(c);
  sync::cancel_tree(c, context_errc::canceled, false);  // deletes the bridge, and this with it
  sync::release(c);
}

const std::error_category& context_category() noexcept {
  static const category the;
  return the;
}

namespace detail {

void view_unref(context_view* v) noexcept {
  // order: acq_rel, so that the last one sees all that the others did
  while (v != nullptr && v->handles.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    context_view* parent = std::exchange(v->parent, nullptr);
    v->destroy(v);
    v = parent;
  }
}
void view_attach(context_view* v, context_view* parent) noexcept {
  view_ref(parent);
  v->parent = parent;
  v->cancel = parent == nullptr ? nullptr : parent->cancel;
}
recv_chan<void> view_done(const context_view* v) noexcept {
  return v == nullptr || v->cancel == nullptr ? recv_chan<void>() : v->cancel->done;
}
context_errc view_err(const context_view* v) {
  if (v == nullptr || v->cancel == nullptr) return context_errc::none;
  std::uint8_t state = v->cancel->state.load();
  if (state & cancel_view::closing) v->cancel->done.recv();
  return static_cast<context_errc>(state & ~cancel_view::closing);
}
std::optional<time_point> view_deadline(const context_view* v) noexcept {
  if (v == nullptr || v->cancel == nullptr || v->cancel->deadline_ns == runtime::no_deadline) return std::nullopt;
  return time_point(std::chrono::nanoseconds(v->cancel->deadline_ns));
}

std::stop_token view_stop_token(const context_view* v) {
  cancel_view* cancel = v == nullptr ? nullptr : v->cancel;
  std::stop_token token;
  if (reference c{sync::control_of(cancel)}) {
    auto fresh = std::make_unique<stop_node>();
    c->lock.lock();
    if (c->err == 0) {
      if (c->stop == nullptr) c->stop = fresh.release();
      token = c->stop->source.get_token();
    }
    c->lock.unlock();
    if (token.stop_possible()) return token;
  }
  if (cancel != nullptr && view_err(v) != context_errc::none) {
    std::stop_source requested;
    requested.request_stop();
    token = requested.get_token();
  }
  return token;
}

void control_ref(context_control* c) noexcept {
  if (c != nullptr) c->cancels.fetch_add(1, std::memory_order_relaxed);  // order: made from one that is held
}
void control_unref(context_control* c) noexcept {
  // order: acq_rel, so that the last one sees all that the others did
  if (c == nullptr || c->cancels.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  sync::drop_if_useless(c);
  sync::release(c);
}
void control_cancel(context_control* c) noexcept {
  if (c == nullptr) return;
  sync::hold(c);
  sync::cancel_tree(c, context_errc::canceled, true);
  sync::release(c);
}

[[gnu::noinline]] new_context make_cancelable(context_view* parent) {
  return make(parent, reinterpret_cast<std::uintptr_t>(__builtin_return_address(0))).give();
}
[[gnu::noinline]] new_context make_timeout(context_view* parent, std::int64_t ns) {
  auto made_at = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  return make_timed(parent, runtime::timer_after_ns(ns), made_at).give();
}
[[gnu::noinline]] new_context make_deadline(context_view* parent, time_point when) {
  auto made_at = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  return make_timed(parent, when.time_since_epoch().count(), made_at).give();
}
[[gnu::noinline]] new_context make_stoppable(context_view* parent, const std::stop_token& token) {
  pair made = make(parent, reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
  context_control* c = made.control.get();
  if (!token.stop_possible()) return made.give();
  sync::hold(c);  // the bridge's
  stop_bridge* bridge;
  try {
    bridge = new stop_bridge(c, token);  // stop requested: calls back at once
  } catch (...) {
    sync::release(c);
    throw;
  }
  c->lock.lock();
  if (c->err == 0) c->bridge = std::exchange(bridge, nullptr);
  c->lock.unlock();
  sync::delete_bridge(bridge);
  return made.give();
}

}  // namespace detail

}  // namespace stray
