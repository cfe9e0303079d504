// A value is found by comparing keys.
// expect: static assertion failed.*a key is copyable and has ==
#include <stray/context.hpp>

struct key {};
stray::context with(const stray::context& ctx) { return stray::with_value(ctx, key{}, 1); }
