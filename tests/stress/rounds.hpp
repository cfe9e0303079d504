// How long the long tier is: STRAY_TEST_LONG=1 does twenty times the rounds.
#pragma once

#include <cstdlib>

inline int rounds(int quick) { return std::getenv("STRAY_TEST_LONG") != nullptr ? quick * 20 : quick; }
