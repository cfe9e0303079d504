#include "leak/report/suspects.h"
#include "leak/report/make_report.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "base/clock.h"
#include "leak/model/task_source.h"
#include "leak/model/thread_stacks.h"

namespace stray::leak {

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

std::vector<std::size_t> filling(const std::vector<std::int64_t>& since_ns, const wait_site& site, std::int64_t now_ns,
                                 std::int64_t floor_ns) {
  std::vector<std::size_t> stuck;
  std::size_t newer = 0;
  std::int64_t first = 0, last = 0;  // to begin, of those
  for (std::size_t i = 0; i < since_ns.size(); i++) {
    const std::int64_t since = since_ns[i], age = now_ns - since;
    if (age < floor_ns || age / age_factor < site.longest_ended_ns) continue;
    stuck.push_back(i);
    if (since <= site.first_look_ns) continue;
    first = newer == 0 ? since : std::min(first, since);
    last = newer == 0 ? since : std::max(last, since);
    newer++;
  }
  if (stuck.size() < site.first_count + least_growth || newer < least_growth || last - first < floor_ns) stuck.clear();
  return stuck;
}

namespace {

std::string age(std::int64_t ns) { return age_text(std::chrono::nanoseconds(ns)); }

// Of one site.
void suspect_outliers(std::vector<finding>& group, std::int64_t floor_ns, std::vector<finding>& out) {
  std::vector<std::int64_t> ages;
  for (const finding& x : group) ages.push_back(x.age_ns);
  for (const outlier& old : outliers(ages, floor_ns)) {
    finding& x = group[old.index];
    x.tier = tier::suspected;
    x.reason = grounds::outlier;
    x.place = std::to_string(group.size() - 1) + " others wait at the same place, half of them for no more than " +
              age(old.median_ns);
    out.push_back(std::move(x));
  }
}

// False: it does not fill up.
bool suspect_filling(std::vector<finding>& group, const wait_site& site, std::int64_t floor_ns, std::vector<finding>& out) {
  const std::int64_t now_ns = base::now_ns();
  std::vector<std::int64_t> since;
  for (const finding& x : group) since.push_back(x.since_ns);
  const std::vector<std::size_t> stuck = filling(since, site, now_ns, floor_ns);
  if (stuck.empty()) return false;
  std::int64_t oldest = now_ns;
  for (std::size_t i : stuck) oldest = std::min(oldest, since[i]);
  const std::size_t more = stuck.size() - site.first_count;
  const std::string who = stuck.size() == group.size() ? "all " + std::to_string(stuck.size())
                                                       : std::to_string(stuck.size()) + " of " + std::to_string(group.size());
  const std::string text = who + " that wait at the same place have waited for over " + age(floor_ns) + ", the oldest for " +
                           age(now_ns - oldest) + ", " + std::to_string(more) + " more than at the first look " +
                           age(now_ns - site.first_look_ns) + " ago, and " +
                           (site.longest_ended_ns == 0 ? "none was seen to wake"
                                                       : "none was seen to wake after more than " + age(site.longest_ended_ns));
  for (std::size_t i : stuck) {
    finding& x = group[i];
    x.tier = tier::suspected;
    x.reason = grounds::filling;
    x.place = text;
    out.push_back(std::move(x));
  }
  return true;
}

}  // namespace

std::vector<finding> suspects(const findings& f, std::int64_t floor_ns) {
  const wait_census& census = look_at_waits(std::min(floor_ns, usual_wait_ns));
  std::set<wait_id> listed;
  for (const finding& x : f.list) listed.insert(x.wait);
  std::map<wait_census::site_key, std::vector<finding>> groups;
  thread_stacks threads;
  const source_list all = sources();
  for (std::size_t number = 0; number < all.count; number++) {
    for (const wait_ref& one : all[number].waiting()) {
      if (listed.contains(one.wait)) continue;
      std::optional<finding> x = all[number].describe(one.record, one.wait, threads, false);
      if (!x) continue;
      x->source = static_cast<std::uint8_t>(number);
      groups[{x->waits, x->pcs}].push_back(std::move(*x));
    }
  }
  std::vector<finding> out;
  for (auto& [key, group] : groups) {
    const wait_site* site = census.find(key);
    if (site == nullptr || !suspect_filling(group, *site, floor_ns, out)) suspect_outliers(group, floor_ns, out);
  }
  return out;
}

}  // namespace stray::leak
