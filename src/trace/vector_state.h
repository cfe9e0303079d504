// Where registers lie in a saved vector state (the xsave area of a signal frame, or what ptrace gives). Between them are holes, which show
// what was on the stack before: not a root.
//
// 1. x87 and SSE registers lie where they have been since fxsave. CPUID leaf 0xd says where the others lie; XSTATE_BV, behind the legacy
//    region, which of them are not all zero (Intel SDM, volume 1, 13.4).
// 2. Whatever is not understood is taken as a whole.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/arch.h"

namespace stray::trace {

struct vector_layout {
  static constexpr unsigned most = 63;  // bit 63 of XSTATE_BV is no component
  struct {
    std::uint32_t at, bytes;  // bytes 0: there is none
  } component[most] = {};
  bool known = false;
};

inline constexpr std::size_t legacy_bytes = 512, first_register = 32, behind_registers = 416, header_at = 512,
                             header_bytes = 64;

// What Linux writes into the legacy region (struct _fpx_sw_bytes): says how large the whole is.
struct area_size {
  static constexpr std::size_t at = 464;
  static constexpr std::uint32_t is_extended = 0x4650'5853;  // FP_XSTATE_MAGIC1
  std::uint32_t magic, bytes;
};

// Parent (base::cpuid).
inline void find_vector_layout(vector_layout& layout) noexcept {
  layout = {};
  unsigned r[4] = {};
  base::cpuid(0, 0, r);
  if (r[0] < 0xd) return;
  base::cpuid(0xd, 0, r);
  std::uint64_t all = r[0] | std::uint64_t{r[3]} << 32;  // those of user code
  for (unsigned i = 2; i < vector_layout::most; i++) {
    if ((all >> i & 1) == 0) continue;
    base::cpuid(0xd, i, r);
    layout.component[i] = {r[1], r[0]};
  }
  layout.known = true;
}

// f(offset, bytes) for what holds registers in the `size` bytes at `area` (8-aligned; the legacy region is there). Pure.
template <class F>
void each_vector_span(const vector_layout& layout, const unsigned char* area, std::size_t size, F f) noexcept {
  if (size <= legacy_bytes) return f(first_register, behind_registers - first_register);
  bool whole = size >= header_at + header_bytes;
  auto word = [&](std::size_t at) { return whole ? *reinterpret_cast<const std::uint64_t*>(area + at) : 0; };
  std::uint64_t used = word(header_at), compacted = word(header_at + 8);
  bool understood = layout.known && whole && compacted == 0;
  for (unsigned i = 2; i < vector_layout::most && understood; i++) {
    auto [at, bytes] = layout.component[i];
    if ((used >> i & 1) != 0) understood = bytes != 0 && at >= header_at + header_bytes && std::size_t{at} + bytes <= size;
  }
  if (!understood) return f(std::size_t{0}, size);
  f(first_register, behind_registers - first_register);
  for (unsigned i = 2; i < vector_layout::most; i++) {
    if ((used >> i & 1) != 0) f(std::size_t{layout.component[i].at}, std::size_t{layout.component[i].bytes});
  }
}

}  // namespace stray::trace
