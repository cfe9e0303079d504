// Plays one scene in this process and ends it: status 0, or what fail() says. Prints one line of figures.
#pragma once

#include "scene.hpp"

namespace truth {

[[noreturn]] void play(const scene& s);

}  // namespace truth
