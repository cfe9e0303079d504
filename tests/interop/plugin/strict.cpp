// Built with -fno-exceptions -fno-rtti.
#include "plugin.h"
#include "summing.hpp"

extern "C" long plugin_strict_sum(long n) { return plugin::sum(n); }
