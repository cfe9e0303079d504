// Findings as the samples of a profile.
#include <map>

#include "base/clock.h"
#include "leak/report/cause.h"
#include "leak/report/creators.h"
#include "leak/report/make_report.h"

namespace stray::leak {

namespace {

// By one offset for the life of the process, so that the same wait has the same second in every scrape.
std::int64_t unix_seconds(std::int64_t monotonic_ns) {
  static const std::int64_t offset =
      std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count() - base::now_ns();
  return (monotonic_ns + offset) / 1'000'000'000;
}

}  // namespace

std::vector<profile::sample> leak_samples(const findings& f) {
  struct key {
    std::vector<std::uintptr_t> pcs;
    std::vector<profile::label> labels;
    std::string_view waits;
    leak::tier tier;
    unsigned creators;
    auto operator<=>(const key&) const = default;
  };
  causes why_of(f);
  creator_lines started_by(creator_lines::told_apart_by::functions);
  std::map<key, std::pair<profile::sample, const finding*>> groups;
  for (const finding& x : f.list) {
    if (x.tier < tier::cycle) continue;
    auto& [s, oldest] = groups[{x.pcs, x.labels, x.waits, x.tier, started_by.number(x)}];
    s.count++;
    s.bytes += static_cast<std::int64_t>(x.bytes + x.heap_bytes);
    if (oldest == nullptr || x.age_ns > oldest->age_ns) oldest = &x;
  }
  std::vector<profile::sample> out;
  for (auto& [k, entry] : groups) {
    auto& [s, oldest] = entry;
    s.pcs = k.pcs;
    s.labels = k.labels;
    s.wait_reason = k.waits;
    s.tier = to_string(k.tier);
    s.cause = why_of.of(*oldest);
    for (const profile::shown_line& l : started_by.lines(k.creators))
      (s.created_by.empty() ? s.created_by : s.called_by.emplace_back()) = l.line->function;
    s.blocked_since = unix_seconds(oldest->since_ns);
    out.push_back(std::move(s));
  }
  return out;
}

}  // namespace stray::leak
