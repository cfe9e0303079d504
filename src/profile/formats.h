// The formats of docs/design/endpoint-and-tool.md. A writer turns samples into bytes and knows nothing of where they come from.
// incomplete: why the samples may lack something. Each reason is a line `# incomplete: REASON` of a text, which Go's parsers skip, and a
// comment `incomplete: REASON` of the protobuf, which every `go tool pprof -top` shows. likely: in the same way `likely: N, not proven: DOUBT`.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "profile/sample.h"

namespace stray::profile {

// debug=1: "NAME profile: total N", groups by count descending, then key.
std::string write_counts(std::string_view profile_name, std::span<const sample> samples,
                         std::span<const std::string> incomplete = {}, std::span<const std::string> likely = {});
// debug=2: one paragraph a goroutine, in the order given.
std::string write_stacks(std::span<const stack_entry> entries, std::span<const std::string> incomplete = {},
                         std::span<const std::string> likely = {});
// debug=0: gzipped profile.proto. With leak_labels: wait_reason, tier, created_by, called_by, cause, blocked_since and the second sample type
// {bytes_retained, bytes}. duration_ns: the time between the two collections of a delta, 0 otherwise.
std::string write_proto(std::string_view profile_name, std::span<const sample> samples, bool leak_labels,
                        std::int64_t duration_ns = 0, std::span<const std::string> incomplete = {},
                        std::span<const std::string> likely = {});
// Gzip by zlib.
std::string gzip(std::string_view bytes);

}  // namespace stray::profile
