// A setting of the environment that is on or off.
//
// off, 0, no, false, none and on, 1, yes, true, in any case, are understood. Of anything else one line is said; `unclear` is taken then, which of
// a switch that protects something is the side that protects. Unset, `usual` is.
#pragma once

namespace stray::base {

// usual: when unset. Set and empty counts as unset where that is what an unclear value means, too; else it is unclear.
bool switch_setting(const char* name, bool usual, bool unclear) noexcept;

}  // namespace stray::base
