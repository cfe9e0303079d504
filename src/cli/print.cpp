#include "cli/print.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/printable.h"
#include "cli/json.h"

namespace stray::cli {

namespace {

using base::as_word, base::printable, nlohmann::ordered_json;

std::string painted(std::string_view text, const char* colour, const style& s) {
  return s.colour ? fmt::format("\033[{}m{}\033[0m", colour, text) : std::string(text);
}
constexpr const char *red = "31", *bold = "1", *dim = "2";

std::string place(const frame& f) { return f.file.empty() ? "" : fmt::format("{}:{}", printable(f.file), f.line); }

// A URI of a file; a path that is not whole stays a relative one.
std::string uri_of(std::string_view path) {
  std::string uri = path.starts_with("/") ? "file://" : "";
  for (char c : path) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 std::string_view("/-._~").find(c) != std::string_view::npos;
    uri += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return uri;
}

// FNV-1a: the same in every run of every build.
std::string fingerprint(std::string_view text) {
  std::uint64_t hash = 14695981039346656037U;
  for (unsigned char c : text) hash = (hash ^ c) * 1099511628211U;
  return fmt::format("{:016x}", hash);
}

std::int64_t total(const std::vector<site>& sites) {
  std::int64_t n = 0;
  for (const site& s : sites) n = sum(n, s.count);
  return n;
}

}  // namespace

std::string age_text(std::int64_t since, std::int64_t now) {
  if (since == 0) return "-";
  std::int64_t s = std::max<std::int64_t>(now - since, 0);
  if (s < 120) return fmt::format("{} s", s);
  if (s < 7200) return fmt::format("{} min", s / 60);
  if (s < 172'800) return fmt::format("{} h", s / 3600);
  return fmt::format("{} d", s / 86'400);
}

std::string size_text(std::int64_t bytes) {
  if (bytes < 10'000) return fmt::format("{} B", bytes);
  if (bytes < 10'000'000) return fmt::format("{} KB", bytes / 1000);
  return fmt::format("{} MB", bytes / 1'000'000);
}

std::string aligned(std::vector<std::vector<std::string>> rows, std::size_t words, const style& s) {
  for (auto& row : rows)
    for (std::string& cell : row) cell = printable(cell);
  std::vector<std::size_t> widths(rows[0].size());
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); i++) widths[i] = std::max(widths[i], row[i].size());
  std::string out;
  std::size_t words_from = rows[0].size() - words;
  for (std::size_t r = 0; r < rows.size(); r++) {
    std::string line;
    for (std::size_t i = 0; i < rows[r].size(); i++) {
      const std::string& text = rows[r][i];
      if (i + 1 == rows[r].size())
        line += text;
      else
        line += i < words_from ? fmt::format("{:>{}}  ", text, widths[i]) : fmt::format("{:<{}}  ", text, widths[i]);
    }
    out += (r == 0 ? painted(line, bold, s) : line) + "\n";
  }
  return out;
}

std::string table(const std::vector<site>& sites, std::size_t most, const style& s) {
  if (sites.empty()) return "no leaked goroutines\n";
  std::vector<std::vector<std::string>> rows{{"COUNT"}};
  if (s.growth) rows[0].push_back("GROWTH");
  if (s.targets > 1) rows[0].push_back("PROCESSES");
  for (const char* name : {"AGE", "KEEPS", "TIER", "REASON", "WHERE"}) rows[0].push_back(name);
  std::size_t shown = std::min(most, sites.size());
  for (std::size_t i = 0; i < shown; i++) {
    const site& one = sites[i];
    std::vector<std::string>& row = rows.emplace_back();
    row.push_back(std::to_string(one.count));
    if (s.growth) row.push_back(fmt::format("{:+}", one.growth));
    if (s.targets > 1) row.push_back(fmt::format("{} of {}", one.targets.size(), s.targets));
    row.push_back(age_text(one.blocked_since, s.now));
    row.push_back(one.bytes == 0 ? "-" : size_text(one.bytes));
    row.push_back(one.tier.empty() ? "-" : one.tier);
    row.push_back(one.reason.empty() ? "-" : one.reason);
    row.push_back(place(one.at).empty() ? one.at.function : one.at.function + "  " + place(one.at));
  }
  std::string out = aligned(std::move(rows), 3, s);
  if (shown < sites.size()) out += fmt::format("and {} more places (-n shows more)\n", sites.size() - shown);
  return out;
}

std::string one_line(const site& one, const style& s) {
  std::string text = painted(fmt::format("{:+}", one.growth), red, s) + fmt::format(" {}", printable(one.at.function));
  if (!one.reason.empty()) text += fmt::format(" [{}]", printable(one.reason));
  if (!place(one.at).empty()) text += "  " + place(one.at);
  if (s.targets > 1) {
    text += "  in";
    for (const std::string& t : one.targets) text += " " + printable(t);
  }
  return text;
}

std::string details(const site& one, const style& s) {
  std::string out =
      painted(fmt::format("{} goroutine{} at {}", one.count, one.count == 1 ? "" : "s", printable(one.at.function)), bold, s) +
      "\n";
  for (const leak* l : one.leaks) {
    out += fmt::format("\n{} x {}", l->count, l->reason.empty() ? "blocked" : printable(l->reason));
    if (!l->tier.empty()) out += ", " + printable(l->tier);
    if (l->blocked_since != 0) out += fmt::format(", blocked for {}", age_text(l->blocked_since, s.now));
    if (l->bytes != 0) out += fmt::format(", keeps {}", size_text(l->bytes));
    out += fmt::format(", in {}\n", printable(l->target));
    auto first = std::find(l->stack.begin(), l->stack.end(), l->site());  // what is before is the runtime's
    for (; first != l->stack.end(); ++first) {
      const frame& f = *first;
      out += fmt::format("    {}\n", printable(f.function));
      if (!f.file.empty()) out += painted(fmt::format("        {}", place(f)), dim, s) + "\n";
    }
    if (!l->created_by.empty()) out += fmt::format("    created by {}\n", printable(l->created_by));
    for (const std::string& caller : l->called_by) out += fmt::format("    called by {}\n", printable(caller));
    if (!l->cause.empty()) out += fmt::format("    why: {}\n", printable(l->cause));
    if (!l->labels.empty()) {
      out += "    labels:";
      for (const auto& [key, value] : l->labels) out += fmt::format(" {}={}", as_word(key), as_word(value));
      out += "\n";
    }
  }
  return out;
}

std::string json(const std::vector<site>& sites, const std::vector<profile>& profiles, const style& style) {
  ordered_json out{{"total", total(sites)}, {"targets", ordered_json::array()}, {"sites", ordered_json::array()}};
  for (const profile& p : profiles) out["targets"].push_back({{"target", p.target}, {"taken", p.taken}, {"notes", p.notes}});
  for (const site& s : sites) {
    ordered_json one{{"count", s.count}};
    if (style.growth) one["growth"] = s.growth;
    one.update({{"bytes", s.bytes},
                {"blocked_since", s.blocked_since},
                {"reason", s.reason},
                {"tier", s.tier},
                {"site", of_frame(s.at)},
                {"targets", s.targets},
                {"leaks", ordered_json::array()}});
    for (const leak* l : s.leaks) {
      ordered_json stack = ordered_json::array(), labels = ordered_json::object();
      for (const frame& f : l->stack) stack.push_back(of_frame(f));
      for (const auto& [key, value] : l->labels) labels[key] = value;
      one["leaks"].push_back({{"target", l->target},
                              {"count", l->count},
                              {"bytes", l->bytes},
                              {"blocked_since", l->blocked_since},
                              {"created_by", l->created_by},
                              {"called_by", l->called_by},
                              {"cause", l->cause},
                              {"labels", labels},
                              {"stack", stack}});
    }
    out["sites"].push_back(std::move(one));
  }
  return dump(out);
}

std::string sarif(const std::vector<site>& sites, const std::string& version) {
  ordered_json results = ordered_json::array();
  auto location = [](const frame& f) {
    ordered_json l;
    if (!f.file.empty()) {
      l["physicalLocation"] = {{"artifactLocation", {{"uri", uri_of(f.file)}}},
                               {"region", {{"startLine", std::max<std::int64_t>(f.line, 1)}}}};
    }
    l["logicalLocations"] = ordered_json::array({{{"fullyQualifiedName", f.function}, {"kind", "function"}}});
    return l;
  };
  for (const site& s : sites) {
    const leak& first = *s.leaks[0];
    std::string text = fmt::format("{} goroutine{} can never wake again in {} [{}]", s.count, s.count == 1 ? "" : "s",
                                   s.at.function, s.reason);
    if (!first.cause.empty()) text += ": " + first.cause;
    text = printable(text);
    ordered_json frames = ordered_json::array();
    for (const frame& f : first.stack) frames.push_back({{"location", location(f)}});
    results.push_back({{"ruleId", "goroutine-leak"},
                       {"level", "error"},
                       {"message", {{"text", text}}},
                       {"locations", ordered_json::array({location(s.at)})},
                       {"stacks", ordered_json::array({{{"message", {{"text", "where it waits"}}}, {"frames", frames}}})},
                       {"partialFingerprints", {{"site/v1", fingerprint(s.key())}}},
                       {"properties", {{"count", s.count}, {"bytes", s.bytes}, {"tier", s.tier}, {"reason", s.reason}}}});
  }
  ordered_json rule{
      {"id", "goroutine-leak"},
      {"name", "GoroutineLeak"},
      {"shortDescription", {{"text", "A goroutine that can never wake again"}}},
      {"fullDescription", {{"text", "It is blocked, and nothing alive can perform an operation that would wake it."}}}};
  ordered_json driver{{"name", "stray"}, {"version", version}, {"rules", ordered_json::array({rule})}};
  return dump({{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
               {"version", "2.1.0"},
               {"runs", ordered_json::array({{{"tool", {{"driver", driver}}}, {"results", results}}})}});
}

}  // namespace stray::cli
