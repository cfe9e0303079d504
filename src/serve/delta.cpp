// Samples are the same when stack, labels, reason, tier and creators are. Pure.
#include "serve/delta.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace stray::serve {

std::vector<profile::sample> growth(const std::vector<profile::sample>& before, std::vector<profile::sample> after) {
  using key = std::tuple<std::vector<std::uintptr_t>, std::vector<profile::label>, std::string, std::string, std::string,
                         std::vector<std::string>>;
  auto key_of = [](const profile::sample& s) { return key(s.pcs, s.labels, s.wait_reason, s.tier, s.created_by, s.called_by); };
  std::map<key, std::pair<std::int64_t, std::int64_t>> known;
  for (const auto& s : before) {
    auto& [count, bytes] = known[key_of(s)];
    count += s.count;
    bytes += s.bytes;
  }
  for (auto& s : after) {
    auto at = known.find(key_of(s));
    if (at == known.end()) continue;
    s.count -= at->second.first;
    s.bytes = std::max<std::int64_t>(0, s.bytes - at->second.second);
    known.erase(at);
  }
  std::erase_if(after, [](const profile::sample& s) { return s.count <= 0; });
  return after;
}

}  // namespace stray::serve
