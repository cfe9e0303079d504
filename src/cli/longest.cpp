#include "cli/longest.h"
#include "cli/json.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <stdexcept>
#include <string_view>
#include <tuple>

namespace stray::cli {

namespace {

constexpr std::string_view head = "count\tover_a_minute\tgrowth\toldest_s\treason\tfunction\tfile\tline";

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (std::size_t end = 0; end != text.npos; text.remove_prefix(end == text.npos ? 0 : end + 1)) {
    end = text.find(at);
    parts.push_back(text.substr(0, end));
  }
  return parts;
}

std::int64_t number(std::string_view text) {
  std::int64_t n = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), n);
  constexpr std::int64_t most = std::int64_t{1} << 53;  // of as many servers as a fleet has the sum still fits
  if (failure != std::errc() || end != text.data() + text.size() || n < -most || n > most)
    throw std::runtime_error("it is no list of the longest waits");
  return n;
}

}  // namespace

std::vector<waiting_site> read_longest(const std::string& text, const std::string& target) {
  std::vector<std::string_view> lines = split(text, '\n');
  if (lines[0] != head) throw std::runtime_error("it is no list of the longest waits");
  std::vector<waiting_site> sites;
  for (std::size_t i = 1; i < lines.size(); i++) {
    if (lines[i].empty()) continue;
    std::vector<std::string_view> f = split(lines[i], '\t');
    if (f.size() != 8) throw std::runtime_error("it is no list of the longest waits");
    waiting_site& s = sites.emplace_back();
    s.count = number(f[0]);
    s.over_a_minute = number(f[1]);
    s.growth = number(f[2]);
    s.oldest_s = number(f[3]);
    s.reason = f[4];
    s.at = {std::string(f[5]), std::string(f[6]), number(f[7])};
    s.targets = {target};
  }
  return sites;
}

std::vector<waiting_site> merged(const std::vector<std::vector<waiting_site>>& all) {
  std::map<std::tuple<std::string, std::string, std::int64_t, std::string>, waiting_site> places;
  for (const std::vector<waiting_site>& sites : all) {
    for (const waiting_site& from : sites) {
      std::string file = std::filesystem::path(from.at.file).filename().string();
      auto [at, fresh] = places.try_emplace({from.at.function, file, from.at.line, from.reason}, from);
      if (fresh) continue;
      waiting_site& to = at->second;
      to.count += from.count;
      to.over_a_minute += from.over_a_minute;
      to.growth += from.growth;
      to.oldest_s = std::max(to.oldest_s, from.oldest_s);
      to.targets.insert(from.targets.begin(), from.targets.end());
    }
  }
  std::vector<waiting_site> out;
  for (auto& [place, s] : places) out.push_back(std::move(s));
  std::stable_sort(out.begin(), out.end(), [](const waiting_site& a, const waiting_site& b) {
    return std::tie(a.growth, a.oldest_s) > std::tie(b.growth, b.oldest_s);
  });
  return out;
}

std::string longest_table(const std::vector<waiting_site>& sites, std::size_t most, const style& s) {
  if (sites.empty()) return "nobody has waited for a second who is not known to be leaked\n";
  std::vector<std::vector<std::string>> rows{{"COUNT", "OVER A MINUTE", "GROWTH"}};
  if (s.targets > 1) rows[0].push_back("PROCESSES");
  for (const char* name : {"OLDEST", "REASON", "WHERE"}) rows[0].push_back(name);
  for (std::size_t i = 0; i < sites.size() && i < most; i++) {
    const waiting_site& one = sites[i];
    std::vector<std::string>& row = rows.emplace_back();
    row = {std::to_string(one.count), std::to_string(one.over_a_minute),
           one.growth == 0 ? "-" : fmt::format("{:+}", one.growth)};
    if (s.targets > 1) row.push_back(fmt::format("{} of {}", one.targets.size(), s.targets));
    row.push_back(age_text(s.now - one.oldest_s, s.now));
    row.push_back(one.reason);
    row.push_back(one.at.function + (one.at.file.empty() ? "" : fmt::format("  {}:{}", one.at.file, one.at.line)));
  }
  std::string out = aligned(std::move(rows), 2, s);
  if (most < sites.size()) out += fmt::format("and {} more places (-n shows more)\n", sites.size() - most);
  return out + "no proof of anything: idle workers stand here, too; look at what grows\n";
}

std::string longest_json(const std::vector<waiting_site>& sites) {
  nlohmann::ordered_json out{{"sites", nlohmann::ordered_json::array()}};
  for (const waiting_site& s : sites)
    out["sites"].push_back({{"count", s.count},
                            {"over_a_minute", s.over_a_minute},
                            {"growth", s.growth},
                            {"oldest_seconds", s.oldest_s},
                            {"reason", s.reason},
                            {"site", of_frame(s.at)},
                            {"targets", s.targets}});
  return dump(out);
}

}  // namespace stray::cli
