// One path, one function; texts and statuses are Go's net/http/pprof. seconds is capped: a request must end.
#include "serve/routes.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/format.h"
#include "base/printable.h"
#include "profile/formats.h"
#include "profile/symbolize.h"
#include "serve/delta.h"
#include "serve/gate.h"
#include "serve/index_page.h"
#include "serve/places.h"
#include "serve/query.h"

namespace stray::serve {

namespace {

constexpr std::string_view root = "/debug/pprof/";
constexpr std::string_view text_type = "text/plain; charset=utf-8";
constexpr std::int64_t most_seconds = 300, most_waits = 2;
constexpr std::size_t most_symbols = 1000;

response answer(std::string body, std::string_view type = text_type) {
  response r;
  r.headers = {{"Content-Type", std::string(type)}};
  r.body = std::move(body);
  return r;
}

// An error of the profile handlers carries X-Go-Pprof, by which `go tool pprof` knows that the text is worth showing.
response error(int status, std::string_view text, bool from_pprof = true) {
  response r = answer(base::printable(text) + "\n");
  r.status = status;
  if (from_pprof) r.headers.emplace_back("X-Go-Pprof", "1");
  return r;
}

response later(std::string_view text, std::chrono::seconds after) {
  response r = error(503, text);
  r.headers.emplace_back("Retry-After", base::format("{}", after.count()));
  return r;
}

// A detection that could not decide and has nothing to show.
template <class T>
bool is_silent(const profile::collection<T>& collected) {
  return collected.list.empty() && !collected.incomplete.empty();
}

response no_verdict(std::string_view name, const std::vector<std::string>& reasons) {
  std::string text = base::format("{} profile: the detection is incomplete, and nothing was proven", name);
  for (const std::string& reason : reasons) text.append(&reason == &reasons.front() ? ": " : "; ").append(reason);
  return error(503, text);
}

response not_found() { return error(404, "404 page not found", false); }

response attachment(std::string body, std::string_view name) {
  response r = answer(std::move(body), "application/octet-stream");
  r.headers.emplace_back("Content-Disposition", base::format("attachment; filename=\"{}\"", name));
  return r;
}

response delta(collector& source, std::string_view name, std::string_view seconds_text, std::int64_t debug,
               const wait_function& wait) {
  auto seconds = whole_number(seconds_text);
  if (!seconds || *seconds <= 0) return error(400, "invalid value for \"seconds\" - must be a positive integer");
  if (debug != 0) return error(400, "seconds and debug params are incompatible");
  if (*seconds > most_seconds) seconds = most_seconds;
  static constinit places waiting{0};
  place mine(waiting, most_waits);
  source.ask_for_time();
  if (!mine) return later("two other requests with \"seconds\" are waiting: ask again later", std::chrono::seconds(10));
  auto started = std::chrono::steady_clock::now();
  auto before = source.samples(name, look::new_or_none);
  if (!wait(std::chrono::seconds(*seconds))) return error(503, "collection was interrupted");
  auto after = source.samples(name, look::always_new);
  for (const auto* collected : {&before, &after})
    if (is_silent(*collected)) return no_verdict(name, collected->incomplete);
  auto grown = growth(before.list, std::move(after.list));
  auto& reasons = before.incomplete;
  reasons.insert(reasons.end(), after.incomplete.begin(), after.incomplete.end());
  auto took = std::chrono::steady_clock::now() - started;
  auto duration_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
  return attachment(profile::write_proto(name, grown, name == "goroutineleak", duration_ns, reasons, after.likely),
                    std::string(name) + "-delta");
}

response serve_profile(collector& source, std::string_view name, const query& q, const wait_function& wait,
                       std::string_view target, std::string& question) {
  std::int64_t debug = q.number("debug");
  if (!q.get("seconds").empty()) return delta(source, name, q.get("seconds"), debug, wait);
  question = target;
  source.ask_for_time();
  bool leaks = name == "goroutineleak";
  if (debug >= 3 && leaks)
    if (auto text = source.explain()) return answer(std::move(*text));
  if (debug >= 2) {
    auto stacks = source.stacks(name, leaks && q.number("leaked") != 0);
    if (is_silent(stacks)) return no_verdict(name, stacks.incomplete);
    return answer(profile::write_stacks(stacks.list, stacks.incomplete, stacks.likely));
  }
  auto samples = source.samples(name, look::may_be_old);
  if (is_silent(samples)) return no_verdict(name, samples.incomplete);
  if (debug == 1) return answer(profile::write_counts(name, samples.list, samples.incomplete, samples.likely));
  return attachment(profile::write_proto(name, samples.list, leaks, 0, samples.incomplete, samples.likely), name);
}

response cmdline() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (text.ends_with('\0')) text.pop_back();  // NULs stand between the arguments
  return answer(std::move(text));
}

response symbol(std::string_view raw_query) {
  std::string body = "num_symbols: 1\n";
  for (std::size_t n = 0; n < most_symbols && !raw_query.empty(); ++n) {
    std::size_t plus = raw_query.find('+');
    std::string_view word = raw_query.substr(0, plus);
    raw_query = plus == std::string_view::npos ? std::string_view() : raw_query.substr(plus + 1);
    int base = word.starts_with("0x") || word.starts_with("0X") ? 16 : 10;
    if (base == 16) word.remove_prefix(2);
    std::uintptr_t pc = 0;
    auto [end, failure] = std::from_chars(word.data(), word.data() + word.size(), pc, base);
    if (failure != std::errc() || end != word.data() + word.size() || pc == 0) continue;
    const profile::source_line line = profile::physical_line(pc);
    if (!line.system_name.empty()) body += base::format("{:#x} {}\n", pc, base::printable(line.function));
  }
  return answer(std::move(body));
}

void say_age(response& r, std::chrono::system_clock::time_point taken) {
  auto now = std::chrono::system_clock::now();
  auto age = std::chrono::duration_cast<std::chrono::seconds>(std::max(now - taken, {})).count();
  bool is_text = r.headers.front().second.starts_with("text/plain");
  r.headers.emplace_back("Age", base::format("{}", age));
  if (!is_text) return;
  std::string line = base::format("# taken: {}, {} s ago\n", utc_text(std::chrono::system_clock::to_time_t(taken)), age);
  std::size_t at = r.body.starts_with("goroutineleak profile: ") ? r.body.find('\n') + 1 : 0;
  if (at == 0 && !r.body.starts_with('#')) line += '\n';
  r.body.insert(at, line);
}

// /debug/stray/, and what lies below it.
response stray_page(collector& source, std::string_view path, const query& q, std::string& question) {
  if (path == "/debug/stray/") {
    auto why = static_cast<std::uint64_t>(std::max<std::int64_t>(q.number("why"), 0));
    if (why == 0) question = path;
    source.ask_for_time();
    auto page = source.page(why);
    return page ? answer(std::move(*page), "text/html; charset=utf-8") : not_found();
  }
  if (path == "/debug/stray/longest") {
    question = path;
    source.ask_for_time();
    auto text = source.longest();
    return text ? answer(std::move(*text)) : not_found();
  }
  if (path == "/debug/stray/why") {
    std::int64_t id = q.number("id");
    if (id <= 0) return error(400, "id must be the number of a goroutine: /debug/stray/why?id=5", false);
    source.ask_for_time();
    auto text = source.why(static_cast<std::uint64_t>(id));
    return text ? answer(std::move(*text)) : not_found();
  }
  return not_found();
}

// For whoever scrapes there is always an answer, and it is not old.
response metrics(collector& source, bool detect, std::string& question) {
  constexpr auto most_age = std::chrono::seconds(5);
  const std::string_view name = "/metrics";
  if (auto old = source.kept(name); old && std::chrono::system_clock::now() - old->taken < most_age) {
    say_age(old->what, old->taken);
    return std::move(old->what);
  }
  question = name;
  auto text = source.metrics(detect);
  return text ? answer(std::move(*text), "text/plain; version=0.0.4; charset=utf-8") : not_found();
}

// question: by what the answer may be kept for others who ask the same; empty: not at all.
response dispatch(collector& source, std::string_view target, const wait_function& wait, std::string& question) {
  // A user's own server may hand over anything (pprof::handle), and parts of the target come back in a Location.
  for (char c : target)
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return error(400, "400 Bad Request", false);
  target = target.substr(0, target.find('#'));
  std::size_t mark = target.find('?');
  std::string_view raw_path = target.substr(0, mark),
                   raw_query = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  auto path = unescape(raw_path, false);
  if (!path) return error(400, "400 Bad Request", false);
  if (*path == "/debug/pprof" || *path == "/debug/stray") {
    response r = answer("");
    r.status = 301;
    r.headers.emplace_back("Location", base::format("{}/{}{}", *path, raw_query.empty() ? "" : "?", raw_query));
    return r;
  }
  if (*path == "/metrics") return metrics(source, query(raw_query).number("detect") != 0, question);
  if (path->starts_with("/debug/stray/")) return stray_page(source, *path, query(raw_query), question);
  if (!path->starts_with(root)) return not_found();
  std::string_view name = std::string_view(*path).substr(root.size());
  if (name.empty()) return answer(index_page(source), "text/html; charset=utf-8");
  if (name == "cmdline") return cmdline();
  if (name == "symbol") return source.ask_for_time(), symbol(raw_query);
  if (name == "goroutine" || name == "goroutineleak")
    return serve_profile(source, name, query(raw_query), wait, target, question);
  return error(404, "Unknown profile");
}

response guarded(collector& source, std::string_view target, const wait_function& wait) {
  std::string question;
  try {
    response r = dispatch(source, target, wait, question);
    if (auto taken = source.taken_before()) {
      say_age(r, *taken);
    } else if (r.status == 200 && !question.empty()) {
      source.keep(question, r);
    }
    return r;
  } catch (const too_soon& e) {
    auto old = question.empty() ? std::nullopt : source.kept(question);
    if (!old) return later(e.what(), e.retry_after);
    say_age(old->what, old->taken);
    return std::move(old->what);
  } catch (const std::exception& e) {
    return error(500, e.what());
  } catch (...) {
    return error(500, "failed to collect profile");
  }
}

}  // namespace

response route(collector& source, std::string_view method, std::string_view target, const wait_function& wait) {
  response r = method == "GET" || method == "HEAD" ? guarded(source, target, wait) : error(405, "Method Not Allowed", false);
  if (r.status == 405) r.headers.emplace_back("Allow", "GET, HEAD");
  add_guard_headers(r);
  return r;
}

}  // namespace stray::serve
