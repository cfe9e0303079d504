// How a signal frame is told from other words of a stack, and a left one of our own from one whose handler still runs.
//
// 1. For each handler the kernel stores cs, gs = 0, fs = 0, ss of the interrupted code in one word, at a fixed distance from the return address.
// 2. Only cs and ss of it are read when the handler returns. So our own handler writes a mark into the room of gs: the frames that the stop
//    signal leaves in unused parts of a stack are not taken for handlers that run.
// Rejected: the number in siginfo_t, which the kernel leaves as it was for handlers without SA_SIGINFO: there a frame of ours lay before.
#pragma once

#include <cstdint>
#include <ucontext.h>

namespace stray::trace::signal_frame {

inline constexpr std::uint64_t segments = 0x002b'0000'0000'0033, left = 0x5a5a'0000, gs_and_fs = 0xffff'ffff'0000;
inline constexpr std::uintptr_t segments_at = 192;  // from the return address

constexpr bool is_live(std::uint64_t word) noexcept {
  return (word & 0xffff) == (segments & 0xffff) && (word & gs_and_fs) != left;
}
inline void mark_left(ucontext_t* c) noexcept {
  c->uc_mcontext.gregs[REG_CSGSFS] =
      static_cast<greg_t>((static_cast<std::uint64_t>(c->uc_mcontext.gregs[REG_CSGSFS]) & ~gs_and_fs) | left);
}

}  // namespace stray::trace::signal_frame
