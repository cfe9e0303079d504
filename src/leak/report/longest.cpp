#include "leak/report/longest.h"

#include <algorithm>
#include <map>
#include <utility>

#include "leak/model/wait_census.h"
#include "profile/names.h"
#include "profile/symbolize.h"

namespace stray::leak {

namespace {

constexpr std::size_t most_named = 500;  // the rest needs no lines read

longest_row row_of(const wait_census::site_key& key, const wait_site& s, std::int64_t now_ns) {
  longest_row row;
  const std::vector<profile::shown_line> lines = profile::shown_lines(key.second);
  auto own = std::find_if(lines.begin(), lines.end(), [](auto& l) { return !l.line->function.starts_with("std::"); });
  if (own == lines.end()) own = lines.begin();
  row.function = lines.empty() ? "?" : profile::short_name(own->line->function);
  if (!lines.empty()) {
    row.file = own->line->file;
    row.line = own->line->line;
  }
  row.reason = key.first;
  row.count = s.count;
  row.over_a_minute = s.over_a_minute;
  row.growth = s.growth();
  row.oldest = std::chrono::nanoseconds(now_ns - s.oldest_since_ns);
  return row;
}

template <class Row, class Growth, class Age>
void sort_rows(std::vector<Row>& rows, Growth growth, Age age) {
  std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) {
    return growth(a) != growth(b) ? growth(a) > growth(b) : age(a) > age(b);
  });
}

}  // namespace

std::string longest_row::site() const {
  if (file.empty()) return function;
  return function + " " + file.substr(file.rfind('/') + 1) + ":" + std::to_string(line);
}

std::vector<longest_row> longest_rows(const wait_census& census, std::size_t most) {
  const std::int64_t now_ns = census.last_look_ns();
  std::vector<std::pair<const wait_census::site_key*, const wait_site*>> sites;
  for (const auto& [stack, s] : census.sites())
    if (s.count != 0) sites.emplace_back(&stack, &s);
  sort_rows(
      sites, [](auto& x) { return x.second->growth(); }, [&](auto& x) { return now_ns - x.second->oldest_since_ns; });
  if (sites.size() > most_named) sites.resize(most_named);
  std::map<std::pair<std::string, std::string>, std::size_t> places;
  std::vector<longest_row> rows;
  for (const auto& [stack, s] : sites) {
    longest_row row = row_of(*stack, *s, now_ns);
    auto [at, fresh] = places.try_emplace({row.site(), row.reason}, rows.size());
    if (fresh) {
      rows.push_back(std::move(row));
      continue;
    }
    longest_row& same = rows[at->second];
    same.count += row.count;
    same.over_a_minute += row.over_a_minute;
    same.growth += row.growth;
    same.oldest = std::max(same.oldest, row.oldest);
  }
  sort_rows(
      rows, [](auto& x) { return x.growth; }, [](auto& x) { return x.oldest; });
  if (rows.size() > most) rows.resize(most);
  return rows;
}

std::vector<longest_row> blocked_longest(std::size_t most) { return longest_rows(look_at_waits(), most); }

}  // namespace stray::leak
