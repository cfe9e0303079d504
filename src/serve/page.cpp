#include "serve/page.h"

#include <algorithm>
#include <ctime>
#include <iterator>
#include <set>
#include <tuple>

#include "base/format.h"
#include "leak/report/make_report.h"
#include "profile/names.h"
#include "profile/symbolize.h"
#include "runtime/task.h"
#include "serve/wait_svg.h"

namespace stray::serve {

namespace {

constexpr std::size_t most_groups = 200, most_boxes = 60, most_ids = 24, most_live_groups = 100, most_live_ids = 4,
                      most_labels = 12;

constexpr std::string_view style = R"(
:root{color-scheme:light dark;--ink:#1c2330;--dim:#5d6778;--paper:#fff;--card:#f6f7f9;--line:#d8dce3;--bad:#b3261e;--good:#1b6e3c;--warn:#8a5a00;--link:#1f4fa8}
@media(prefers-color-scheme:dark){:root{--ink:#e4e7ec;--dim:#9aa4b5;--paper:#14171d;--card:#1d2129;--line:#343b47;--bad:#ff8a80;--good:#7bd69a;--warn:#f1c15c;--link:#8ab4f8}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:76rem;margin:0 auto;padding:1rem 1.5rem 4rem}
h1{font-size:1.3rem;margin:.4rem 0}h2{font-size:1.1rem;margin:2rem 0 .6rem}a{color:var(--link)}
code,pre,.mono{font:13px/1.5 ui-monospace,monospace}pre{overflow-x:auto;margin:.4rem 0;padding:.5rem .7rem;background:var(--paper);border:1px solid var(--line);border-radius:6px}
.verdict{font-size:1.5rem;font-weight:600;margin:.2rem 0}.bad{color:var(--bad)}.good{color:var(--good)}.warn{color:var(--warn)}.dim{color:var(--dim)}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.6rem 1rem;margin:.7rem 0}.card .card{background:var(--paper)}
summary{cursor:pointer;font-weight:600}summary:focus-visible,a:focus-visible{outline:2px solid var(--link)}
.badge{font-size:.8rem;font-weight:600;border:1px solid currentColor;border-radius:99px;padding:0 .5rem;margin-left:.4rem}
.here{background:color-mix(in srgb,var(--bad) 18%,transparent);display:inline-block;min-width:100%}
table{border-collapse:collapse}td,th{padding:.15rem .9rem .15rem 0;text-align:left;vertical-align:top}td.n{text-align:right}
.scroll{overflow-x:auto}svg text{font:12px ui-monospace,monospace;fill:var(--ink)}svg .name{font-weight:600}svg .label{fill:var(--dim)}
.box rect{fill:var(--card);stroke:var(--dim)}.box.ring rect{stroke:var(--bad);stroke-width:2}.wait{fill:none;stroke:var(--dim);stroke-width:1.5}
.wait.ring{stroke:var(--bad);stroke-width:2}marker.arrow path{fill:var(--dim)}marker.ring path{fill:var(--bad)}.trend{fill:none;stroke:var(--bad);stroke-width:2}
input{font:inherit;width:9rem;padding:.1rem .4rem}
)";

std::string utc(std::chrono::system_clock::time_point when) {
  std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text;
}

std::string plural(std::size_t n, std::string_view one) { return base::format("{} {}{}", n, one, n == 1 ? "" : "s"); }

std::string position(const leak::frame& f) { return f.file.empty() ? std::string() : base::format("{}:{}", f.file, f.line); }

// The first that is the program's own.
const leak::frame* own_frame(const leak::group& g) {
  for (const leak::frame& f : g.stack)
    if (!f.function.starts_with("std::")) return &f;
  return g.stack.empty() ? nullptr : &g.stack.front();
}

std::string title(const leak::group& g) {
  const leak::frame* f = own_frame(g);
  return f == nullptr ? "?" : profile::short_name(f->function);
}

class page {
 public:
  explicit page(const page_content& c) : c_(c) {}

  written_page write() {
    find_parents();
    head();
    trend();
    groups();
    graph();
    longest();
    live();
    put("<h2>More</h2><p><a href=\"../pprof/\">profiles for go tool pprof</a> · <a href=\"../pprof/goroutineleak?debug=3\">the "
        "report as text</a> · "
        "<a href=\"../pprof/goroutine?debug=2\">all goroutines</a> · <a href=\"/metrics\">metrics</a></p>\n</body>\n</html>\n");
    return {std::move(text_), std::move(excerpts_)};
  }

 private:
  template <class... Args>
  void put(std::type_identity_t<base::format_pattern<sizeof...(Args)>> format, const Args&... args) {
    base::format_to(text_, format, args...);
  }

  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  const std::vector<leak::group>& all_groups() const { return c_.report.groups(); }

  // Whose victims a group's members are (of most, the first decides), and who waits for whom.
  void find_parents() {
    std::map<wait_id, std::size_t> group_of;
    for (std::size_t i = 0; i < all_groups().size(); i++)
      for (const leak::goroutine& one : all_groups()[i].goroutines) group_of[one.identity()] = i;
    parent_.assign(all_groups().size(), none);
    if (c_.found == nullptr) return;
    std::map<std::uint64_t, std::size_t> by_task;
    for (const leak::finding& f : c_.found->list)
      if (auto at = group_of.find(f.wait); at != group_of.end()) by_task[f.wait.task] = at->second;
    for (const leak::finding& f : c_.found->list) {
      auto from = by_task.find(f.wait.task), to = by_task.find(f.waits_for), root = by_task.find(f.root);
      if (from == by_task.end()) continue;
      if (f.waits_for != 0 && to != by_task.end()) waits_[{from->second, to->second}]++;
      if (f.reason == leak::grounds::owner_is_self) waits_[{from->second, from->second}]++;
      bool victim = f.root != 0 && !f.ring && root != by_task.end() && root->second != from->second;
      if (victim && parent_[from->second] == none) parent_[from->second] = root->second;
    }
    for (std::size_t& p : parent_)
      if (p != none && parent_[p] != none) p = none;  // a root leak whose group has victims, too, stands by itself
  }

  void head() {
    const leak::report& r = c_.report;
    put("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
        "content=\"width=device-width\">\n"
        "<title>{}: leaked goroutines</title>\n<style>{}</style>\n</head>\n<body>\n",
        html(c_.program), style);
    put("<h1>{} <span class=\"dim\">pid {}</span></h1>\n", html(c_.program), c_.pid);
    verdict();
    std::size_t bytes = 0, goroutines = 0;
    for (const profile::stack_entry& e : c_.all) goroutines += e.thread_name.empty() ? 1 : 0;
    for (const leak::group& g : r.groups()) bytes += g.bytes;
    put("<p class=\"dim\">{} · {} in all{} · detection {} took {:.1f} ms, threads stood still for {:.2f} "
        "ms</p>\n",
        utc(r.taken()), plural(goroutines, "goroutine"), bytes == 0 ? std::string() : " · leaks keep " + leak::size_text(bytes),
        r.generation(), std::chrono::duration<double, std::milli>(r.elapsed()).count(),
        std::chrono::duration<double, std::milli>(r.pause()).count());
    for (const std::string& note : r.notes()) put("<p class=\"warn\">note: {}</p>\n", html(note));
  }

  void verdict() {
    const leak::report& r = c_.report;
    std::size_t proven = 0, groups = 0;
    for (const leak::group& g : r.groups()) {
      proven += g.tier >= leak::tier::cycle ? g.count : 0;
      groups += g.tier >= leak::tier::cycle ? 1 : 0;
    }
    if (r.total() == 0 && r.complete()) {
      put("<p class=\"verdict good\">No leaked goroutines</p>\n");
    } else if (r.total() == 0) {
      put("<p class=\"verdict warn\">No verdict: the detection is incomplete</p>\n");
    } else if (proven == 0) {
      put("<p class=\"verdict warn\">No leaked goroutines proven{}</p>\n", r.complete() ? "" : "; the detection is incomplete");
    } else {
      put("<p class=\"verdict bad\">{} in {}{}</p>\n", plural(proven, "leaked goroutine"), plural(groups, "group"),
          r.complete() ? "" : "; the detection is incomplete");
    }
    if (c_.found == nullptr) return;
    for (const leak::doubt& d : leak::doubts(*c_.found, {}))
      put("<p class=\"warn\">and {} likely, not proven: {}</p>\n", d.count, html(d.text));
  }

  void trend() {
    const leak::trend& t = c_.past.trend;
    std::vector<leak::trend::point> points(t.points.begin(), t.points.begin() + static_cast<std::ptrdiff_t>(t.used));
    if (!points.empty() && t.skipped != 0) points.push_back(t.last);
    if (points.size() < 2) return;
    constexpr double width = 700, height = 70;
    std::size_t most = 1;
    for (const auto& p : points) most = std::max<std::size_t>(most, p.leaked);
    double begin = static_cast<double>(points.front().taken_s),
           span = std::max(static_cast<double>(points.back().taken_s) - begin, 1e-3);
    put("<h2>Over the last {} looks</h2>\n<div class=\"scroll\"><svg viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\" "
        "role=\"img\" "
        "aria-label=\"leaked goroutines over time\"><polyline class=\"trend\" points=\"",
        c_.past.runs, width + 80, height + 24, width + 80, height + 24);
    for (const auto& p : points)
      put("{:.1f},{:.1f} ", (static_cast<double>(p.taken_s) - begin) / span * width,
          height + 2 - height * static_cast<double>(p.leaked) / static_cast<double>(most));
    put("\"/><text x=\"{}\" y=\"12\">{}</text><text x=\"{}\" y=\"{}\">0</text><text x=\"0\" y=\"{}\">{}</text>", width + 8,
        most, width + 8, height + 4, height + 20, utc(std::chrono::system_clock::from_time_t(points.front().taken_s)));
    put("</svg></div>\n");
  }

  void groups() {
    if (all_groups().empty()) return;
    put("<h2>Leaks by cause</h2>\n");
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < all_groups().size(); i++)
      if (parent_[i] == none) order.push_back(i);
    auto weight = [&](std::size_t i) { return all_groups()[i].count + all_groups()[i].victims; };
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return weight(a) > weight(b); });
    for (std::size_t i : order) {
      if (shown_ == most_groups) break;
      group(i);
    }
    if (shown_ < all_groups().size())
      put("<p class=\"dim\">{} more: <a href=\"../pprof/goroutineleak?debug=3\">the report as text</a> has all.</p>\n",
          plural(all_groups().size() - shown_, "group"));
  }

  void group(std::size_t i) {
    const leak::group& g = all_groups()[i];
    shown_++;
    put("<details class=\"card\" id=\"g{}\"{}><summary>{} × {} <span class=\"dim mono\">{}</span><span class=\"badge "
        "{}\">{}</span></summary>\n",
        i, shown_ <= 8 ? " open" : "", g.count, html(g.wait_reason), html(shortened(title(g), 80)),
        g.tier == leak::tier::likely ? "warn" : "bad", leak::to_string(g.tier));
    put("<p>{}</p>\n<p class=\"dim\">blocked for {} · keeps {}", html(g.cause), leak::age_text(g.age_max),
        leak::size_text(g.bytes));
    if (g.heap_bytes != 0) put(", of that {} of heap", leak::size_text(g.heap_bytes));
    if (g.victims != 0) put(" · {} leaked only because of this", plural(g.victims, "other"));
    put("</p>\n");
    if (const leak::frame* f = own_frame(g); f != nullptr && !f->file.empty() && f->line > 0)
      excerpts_.push_back({text_.size(), f->file, f->line});
    put("<pre>");
    for (const leak::frame& f : g.stack) put("{}\n    <span class=\"dim\">{}</span>\n", html(f.function), html(position(f)));
    if (!g.created_by.function.empty()) {
      put("created by {}", html(g.created_by.function));
      if (g.creator_id != 0) put(" in goroutine {}", g.creator_id);
      put("\n    <span class=\"dim\">{}</span>\n", html(position(g.created_by)));
      for (const leak::frame& f : g.called_by)
        put("called by {}\n    <span class=\"dim\">{}</span>\n", html(f.function), html(position(f)));
    }
    put("</pre>\n<p class=\"dim\">{}", !g.goroutines.empty() && g.goroutines[0].thread ? "threads" : "goroutines");
    for (std::size_t k = 0; k < g.goroutines.size() && k < most_ids; k++) put(" {}", g.goroutines[k].id);
    if (g.goroutines.size() > most_ids) put(" and {} more", g.goroutines.size() - most_ids);
    put("</p>\n");
    labels(g);
    for (std::size_t v = 0; v < parent_.size() && shown_ < most_groups; v++)
      if (parent_[v] == i) group(v);
    put("</details>\n");
  }

  void labels(const leak::group& g) {
    auto sets = leak::label_sets(g);
    if (sets.empty()) return;
    put("<p class=\"dim\">labels");
    for (std::size_t i = 0; i < sets.size() && i < most_labels; i++)
      put(" · <span class=\"mono\">{}</span> ({})", html(sets[i].first), sets[i].second);
    if (sets.size() > most_labels) put(" · {} more", sets.size() - most_labels);
    put("</p>\n");
  }

  void graph() {
    std::set<std::size_t> drawn;
    for (const auto& [pair, n] : waits_) {
      if (drawn.size() + 2 > most_boxes) break;
      drawn.insert({pair.first, pair.second});
    }
    if (drawn.empty()) return;
    std::vector<graph_box> boxes;
    std::map<std::size_t, std::size_t> number;
    for (std::size_t i : drawn) {
      const leak::group& g = all_groups()[i];
      number[i] = boxes.size();
      boxes.push_back({title(g), base::format("{} × {}", g.count, g.wait_reason), base::format("#g{}", i)});
    }
    std::vector<graph_arrow> arrows;
    std::size_t left_out = 0;
    for (const auto& [pair, n] : waits_) {
      if (drawn.count(pair.first) == 0 || drawn.count(pair.second) == 0) {
        left_out++;
        continue;
      }
      arrows.push_back({number[pair.first], number[pair.second], n == 1 ? "" : base::format("{}", n)});
    }
    put("<h2>Who waits for whom</h2>\n<p class=\"dim\">An arrow leads from who waits to the leaked one that could wake it, if "
        "it could run. Red: a "
        "cycle.{}</p>\n<div class=\"scroll\">",
        left_out == 0 ? "" : base::format(" {} not drawn.", plural(left_out, "further wait")));
    text_ += draw_waits(boxes, arrows);
    put("</div>\n");
  }

  void longest() {
    put("<h2 id=\"longest\">Blocked longest</h2>\n");
    if (c_.longest.empty()) {
      put("<p class=\"dim\">Nobody else has waited for a second.</p>\n");
      return;
    }
    put("<p class=\"dim\">No proof of anything: none of these is known to be leaked, and idle workers stand here, too. Look at "
        "what grows: by how many those that have waited for over a minute are more than all that waited at the first look at "
        "their place (by this page, /metrics, or <code>stray top --longest</code>).</p>\n"
        "<div class=\"scroll\"><table><tr><th>count</th><th>over a minute</th><th>growth</th><th>oldest</th><th>state</th>"
        "<th>where</th></tr>\n");
    for (const leak::longest_row& r : c_.longest)
      put("<tr><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td>"
          "<td class=\"mono\">{} <span class=\"dim\">{}</span></td></tr>\n",
          r.count, r.over_a_minute, r.growth == 0 ? std::string("-") : base::format("<b class=\"warn\">+{}</b>", r.growth),
          leak::age_text(r.oldest), html(r.reason), html(shortened(r.function, 90)),
          r.file.empty() ? std::string() : html(base::format("{}:{}", r.file, r.line)));
    put("</table></div>\n");
  }

  void live() {
    struct entry {
      std::size_t count = 0;
      std::vector<std::uint64_t> ids;  // some
    };
    std::map<std::tuple<std::string, std::vector<std::uintptr_t>, std::vector<profile::label>>, entry> by_stack;
    for (const profile::stack_entry& e : c_.all) {
      if (e.state.ends_with(" (leaked)")) continue;
      entry& x = by_stack[{e.state, e.pcs, e.labels}];
      x.count++;
      if (x.ids.size() < most_live_ids && e.thread_name.empty()) x.ids.push_back(e.id);
    }
    std::vector<const decltype(by_stack)::value_type*> order;
    for (const auto& one : by_stack) order.push_back(&one);
    std::stable_sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->second.count > b->second.count; });
    put("<h2 id=\"alive\">Goroutines that are alive</h2>\n<form method=\"get\" action=\"#alive\"><label>Why is goroutine "
        "<input name=\"why\" "
        "inputmode=\"numeric\" value=\"{}\"> alive?</label> <button>ask</button> <span class=\"dim\">a detection of its "
        "own</span></form>\n",
        c_.asked == 0 ? std::string() : std::to_string(c_.asked));
    if (!c_.answer.empty()) put("<pre>{}</pre>\n", html(c_.answer));
    if (order.empty()) {
      put("<p class=\"dim\">none</p>\n");
      return;
    }
    put("<div class=\"scroll\"><table><tr><th>count</th><th>state</th><th>where</th><th>ids: why?</th></tr>\n");
    for (std::size_t i = 0; i < order.size() && i < most_live_groups; i++) {
      const auto& [state, pcs, labels] = order[i]->first;
      const entry& x = order[i]->second;
      std::string where = "-";
      if (std::vector<profile::shown_line> lines = profile::shown_lines(pcs); !lines.empty()) {
        const profile::source_line& l = *lines.front().line;
        where = base::format("{} <span class=\"dim\">{}:{}</span>", html(shortened(profile::short_name(l.function), 90)),
                             html(l.file), l.line);
      }
      if (!labels.empty()) where += base::format("<br><span class=\"dim\">{}</span>", html(leak::text_of_labels(labels)));
      put("<tr><td class=\"n\">{}</td><td>{}</td><td class=\"mono\">{}</td><td>", x.count, html(state), where);
      for (std::uint64_t id : x.ids) put("<a href=\"?why={}#alive\">{}</a> ", id, id);
      put("</td></tr>\n");
    }
    put("</table></div>\n");
    if (order.size() > most_live_groups)
      put("<p class=\"dim\">and {}</p>\n", plural(order.size() - most_live_groups, "further place"));
  }

  const page_content& c_;
  std::string text_;
  std::vector<excerpt_place> excerpts_;
  std::vector<std::size_t> parent_;
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> waits_;  // groups, how many
  std::size_t shown_ = 0;
};

}  // namespace

written_page write_page(const page_content& content) { return page(content).write(); }

}  // namespace stray::serve
