// The byte cores behind channels and select: what src/sync/chan_core.cpp and src/sync/select.cpp export to the thin templates.
#pragma once

#include <cstddef>
#include <cstdint>

#include <stray/detail/element.hpp>
#include <stray/detail/handle.hpp>

#pragma GCC visibility push(default)

namespace stray {

enum class chan_status { ok, would_block, closed };

namespace detail {

// `site` is the return address of make_chan's caller; the core starts with one reference.
chan_core* chan_make(const element_ops& ops, std::size_t capacity);

// core may be nullptr (a nil channel). `value` is moved from on success and left alone otherwise; its owner destroys it.
void chan_send(chan_core* core, void* value);      // blocks; throws panic when closed
bool chan_try_send(chan_core* core, void* value);  // throws panic when closed
bool chan_recv(chan_core* core, void* slot);       // blocks; true: an element was constructed in slot; false: closed
chan_status chan_try_recv(chan_core* core, void* slot) noexcept;  // ok: an element was constructed in slot
void chan_close(chan_core* core);
std::size_t chan_len(const chan_core* core) noexcept;
std::size_t chan_cap(const chan_core* core) noexcept;

enum class direction : std::uint8_t { recv, send };

struct case_ref {
  chan_core* core = nullptr;
  void* value = nullptr;  // recv: raw slot; send: the element (nullptr: it was sent before)
  direction dir = direction::recv;
};
struct select_result {
  std::size_t index;  // the chosen case; npos: default or time-out
  bool ok;            // recv: a value was received (false: closed)
};
inline constexpr std::size_t no_case = static_cast<std::size_t>(-1);
inline constexpr std::int64_t no_timeout = -1;

// Blocks until one case can go, unless has_default. timeout_ns < 0: none. Throws panic for a chosen send on a closed channel.
select_result select_wait(case_ref* cases, std::size_t count, bool has_default, std::int64_t timeout_ns);
void select_nothing();  // blocks for ever, on little stack: what is left in a caller's dead frames stays dead

}  // namespace detail
}  // namespace stray

#pragma GCC visibility pop
