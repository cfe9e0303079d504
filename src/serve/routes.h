// The answers of /debug/pprof: a function from (method, target) to (status, headers, body). It knows no sockets and no channels.
//
// 1. Every answer carries the headers of gate.h; every error is one line of text that ends with a newline.
// 2. Statuses, headers and texts are Go's (docs/design/endpoint-and-tool.md), so that every client of Go's endpoint reads ours.
// 3. Silence is never a verdict: an incomplete detection says so in every format, and one that proved nothing is a 503 with its
//    reasons, never an empty profile.
// 4. What is older than its request says so: the header Age, and a line `# taken: TIME, N s ago` of the texts.
//    So does one of the last answers, which is given when the collector has no time for another.
// 5. At most two requests with `seconds` wait at a time in the process.
// 6. Safe to call from several threads at once, as far as the collector is.
#pragma once

#include <chrono>
#include <functional>
#include <string_view>

#include "serve/collector.h"

namespace stray::serve {

// Waits that long; false when the answer is no longer wanted (the client left, the server stops).
using wait_function = std::function<bool(std::chrono::seconds)>;

// target is the raw request target, "/debug/pprof/goroutineleak?debug=1".
response route(collector& source, std::string_view method, std::string_view target, const wait_function& wait);

}  // namespace stray::serve
