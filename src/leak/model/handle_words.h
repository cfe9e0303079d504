// Which words are handles of channels (COUNT). Pure; runs in the snapshot.
#pragma once

#include <stray/detail/handle.hpp>
#include "leak/model/wait_graph.h"
#include "trace/client.h"

namespace stray::leak {

inline constexpr std::uint32_t no_core = 0xffff'ffff;

// The number of the core that a word points into.
inline std::uint32_t core_number(const wait_graph& g, std::uintptr_t value) noexcept {
  if (!g.core_slab.holds(value)) return no_core;
  std::size_t index = (value - g.core_slab.lo) / g.core_size;
  return index < g.cores.size && g.cores[index].exists ? static_cast<std::uint32_t>(index) : no_core;
}
inline core_state* core_of(const wait_graph& g, std::uintptr_t value) noexcept {
  std::uint32_t index = core_number(g, value);
  return index == no_core ? nullptr : &g.cores[index];
}

// For a word that points into a core: is it a handle, or the mark of an operation under way (detail/handle.hpp 3)? Only handles are counted.
inline bool is_handle(const wait_graph& g, const trace::word& w, detail::handle_kind* kind, bool* counted = nullptr) noexcept {
  if (!w.has_next || w.raw != w.value || (w.value - g.core_slab.lo) % g.core_size != 0) return false;
  std::uintptr_t rest = w.next ^ w.value ^ w.at ^ detail::handle_key;
  if (rest >= 2 * detail::handle_kinds) return false;
  const bool mark = rest >= detail::handle_kinds;
  if (counted != nullptr) *counted = !mark;
  *kind = static_cast<detail::handle_kind>(mark ? rest - detail::handle_kinds : rest);
  return true;
}

}  // namespace stray::leak
