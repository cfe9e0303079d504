#include "cli/sites.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <limits>
#include <map>

namespace stray::cli {

namespace {

std::string key_of(const frame& at, const std::string& reason, const std::string& tier) {
  return at.function + '\0' + std::filesystem::path(at.file).filename().string() + '\0' + std::to_string(at.line) + '\0' +
         reason + '\0' + tier;
}

std::map<std::string, site> merge(const std::vector<profile>& profiles) {
  std::map<std::string, site> sites;
  for (const profile& p : profiles) {
    for (const leak& l : p.leaks) {
      const frame& at = l.site();
      site& s = sites[key_of(at, l.reason, l.tier)];
      if (s.leaks.empty()) s.at = at;
      s.reason = l.reason;
      s.tier = l.tier;
      s.count = sum(s.count, l.count);
      s.bytes = sum(s.bytes, l.bytes);
      if (l.blocked_since != 0 && (s.blocked_since == 0 || l.blocked_since < s.blocked_since))
        s.blocked_since = l.blocked_since;
      s.targets.insert(p.target);
      s.leaks.push_back(&l);
    }
  }
  return sites;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Of those without an age: last.
std::int64_t since(const site& s) { return s.blocked_since != 0 ? s.blocked_since : std::int64_t{1} << 62; }

bool before(const site& a, const site& b, order by) {
  if (by == order::age && since(a) != since(b)) return since(a) < since(b);
  if (by == order::bytes && a.bytes != b.bytes) return a.bytes > b.bytes;
  if (by == order::growth && a.growth != b.growth) return a.growth > b.growth;
  if (a.count != b.count) return a.count > b.count;
  return a.key() < b.key();
}

}  // namespace

std::int64_t sum(std::int64_t a, std::int64_t b) {
  std::int64_t both = 0;
  return __builtin_add_overflow(a, b, &both) ? std::numeric_limits<std::int64_t>::max() : both;
}

std::string site::key() const { return key_of(at, reason, tier); }

std::vector<site> rank(const std::vector<profile>& now, const std::vector<profile>& base, order by) {
  std::map<std::string, site> sites = merge(now);
  for (const auto& [key, old] : merge(base))
    if (auto at = sites.find(key); at != sites.end()) at->second.growth = -old.count;
  std::vector<site> out;
  for (auto& [key, s] : sites) {
    s.growth += s.count;
    out.push_back(std::move(s));
  }
  std::sort(out.begin(), out.end(), [&](const site& a, const site& b) { return before(a, b, by); });
  return out;
}

std::vector<site> difference(const std::vector<profile>& old, const std::vector<profile>& now) {
  std::vector<site> out = rank(now, old, order::growth);
  std::set<std::string> kept;
  for (const site& s : out) kept.insert(s.key());
  for (auto& [key, s] : merge(old)) {
    if (kept.contains(key)) continue;
    s.growth = -s.count;
    s.count = 0;
    out.push_back(std::move(s));
  }
  std::erase_if(out, [](const site& s) { return s.growth == 0; });
  return out;
}

bool matches(const site& s, const std::string& text) {
  std::string wanted = lower(text);
  auto has = [&](const std::string& in) { return lower(in).find(wanted) != std::string::npos; };
  if (has(s.at.function) || has(s.at.file + ":" + std::to_string(s.at.line))) return true;
  return std::any_of(s.leaks.begin(), s.leaks.end(), [&](const leak* l) { return has(l->cause); });
}

}  // namespace stray::cli
