#include "leak/suspects.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "runtime/park.h"

namespace stray::leak {

namespace {}  // namespace

std::vector<outlier> outliers(const std::vector<std::int64_t>& ages_ns, std::int64_t floor_ns) {
  std::vector<outlier> out;
  if (ages_ns.size() <= least_peers) return out;
  std::vector<std::int64_t> sorted = ages_ns;
  auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);  // of the peers of an old one
  std::nth_element(sorted.begin(), middle, sorted.end());
  for (std::size_t i = 0; i < ages_ns.size(); i++) {
    if (ages_ns[i] >= floor_ns && ages_ns[i] / age_factor > *middle) out.push_back({i, *middle});
  }
  return out;
}

std::vector<finding> suspects(const findings& f, std::int64_t floor_ns) {
  std::set<wait_id> listed;
  for (const finding& x : f.list) listed.insert(x.wait);
  std::map<std::pair<runtime::wait_reason, std::vector<std::uintptr_t>>, std::vector<finding>> groups;
  base::slab<runtime::task>& all = runtime::tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    std::uint64_t word = all.at(i)->word.load();
    if (runtime::word::state_of(word) != runtime::state::waiting) continue;
    std::optional<finding> x = describe_wait(*all.at(i), all.at(i)->wait(word), false);
    if (!x || !runtime::eligible(x->waits) || listed.contains(x->wait)) continue;
    groups[{x->waits, x->pcs}].push_back(std::move(*x));
  }
  std::vector<finding> out;
  for (auto& [key, group] : groups) {
    std::vector<std::int64_t> ages;
    for (const finding& x : group) ages.push_back(x.age_ns);
    for (const outlier& old : outliers(ages, floor_ns)) {
      finding& x = group[old.index];
      x.tier = tier::suspected;
      x.reason = grounds::outlier;
      x.place = std::to_string(group.size() - 1) + " others wait at the same place, half of them for no more than " +
                age_text(std::chrono::nanoseconds(old.median_ns));
      out.push_back(std::move(x));
    }
  }
  return out;
}

}  // namespace stray::leak
