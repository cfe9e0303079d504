// Why a goroutine is alive, or that it has leaked, as text.
#pragma once

#include <cstdint>
#include <string>

namespace stray::leak {

std::string why_now(std::uint64_t goroutine_id);

}  // namespace stray::leak
