// Findings to what users read: groups, causes, text.
#include <algorithm>
#include <iterator>
#include <map>
#include <ostream>
#include <string>
#include <tuple>

#include "base/printable.h"
#include "leak/model/findings.h"
#include "leak/report/cause.h"
#include "leak/report/creators.h"
#include "leak/report/history.h"
#include "leak/report/make_report.h"
#include "profile/symbolize.h"

namespace stray::leak {

using base::printable;

struct report_builder {
  static report build(const findings& f, const options& o, const findings& all);
};

namespace {

frame frame_of(const profile::shown_line& l) { return {l.pc, l.line->function, l.line->file, l.line->line}; }

struct group_key {
  const std::vector<std::uintptr_t>* pcs;  // the first finding's; a copy each costs more than all the rest of a report
  leak::tier tier;
  std::string_view waits;
  grounds reason;
  unsigned creators;  // creators.h
  bool operator<(const group_key& o) const {
    return std::tie(*pcs, tier, waits, reason, creators) < std::tie(*o.pcs, o.tier, o.waits, o.reason, o.creators);
  }
};

// The fields that are sums over the members.
void tally(group& g) {
  g.count = g.goroutines.size();
  g.bytes = g.heap_bytes = 0;
  g.age_max = {};
  for (const goroutine& one : g.goroutines) {
    g.bytes += one.bytes;
    g.heap_bytes += one.heap_bytes;
    g.age_max = std::max(g.age_max, one.age);
  }
}

void sort_by_count(std::vector<group>& groups) {
  std::stable_sort(groups.begin(), groups.end(), [](const group& a, const group& b) { return a.count > b.count; });
}

}  // namespace

std::string age_text(std::chrono::nanoseconds age) {
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(age).count();
  if (ms < 1000) return std::to_string(ms) + " ms";
  if (ms < 10'000) return std::to_string(ms / 1000) + "." + std::to_string(ms / 100 % 10) + " s";
  if (ms < 600'000) return std::to_string(ms / 1000) + " s";
  return std::to_string(ms / 60'000) + " min";
}

std::string size_text(std::size_t bytes) {
  if (bytes < 10'000) return std::to_string(bytes) + " bytes";
  if (bytes < 10'000'000) return std::to_string(bytes / 1000) + " KB";
  return std::to_string(bytes / 1'000'000) + " MB";
}

const char* to_string(tier t) noexcept {
  switch (t) {
    case tier::suspected:
      return "suspected";
    case tier::likely:
      return "likely";
    case tier::cycle:
      return "cycle";
    case tier::proven:
      return "proven";
  }
  return "?";
}

// Goroutines begin to wait by a clock that may be 10 ms behind, so that they look older than they are.
bool is_wanted(const finding& f, const options& o) noexcept {
  constexpr std::int64_t clock_error_ns = 10'000'000;
  if (f.tier < o.min_tier) return false;
  return o.min_age.count() <= 0 || f.age_ns - (f.thread ? 0 : clock_error_ns) >= o.min_age.count();
}

std::vector<doubt> doubts(const findings& f, const options& o) {
  options all = o;
  all.min_tier = tier::likely;
  std::map<std::string, std::size_t> counts;
  for (const finding& x : f.list) {
    if (x.tier == tier::likely && !is_wanted(x, o) && is_wanted(x, all)) counts[doubt_text(x)]++;
  }
  std::vector<doubt> out;
  for (const auto& [text, n] : counts) out.push_back({n, text});
  std::stable_sort(out.begin(), out.end(), [](const doubt& a, const doubt& b) { return a.count > b.count; });
  return out;
}

std::vector<std::string> likely_lines(const findings& f) {
  std::vector<std::string> lines;
  for (const doubt& d : doubts(f, {})) lines.push_back(std::to_string(d.count) + ", not proven: " + d.text);
  return lines;
}

std::size_t report::likely() const noexcept {
  std::size_t n = 0;
  for (const doubt& d : doubts_) n += d.count;
  return n;
}

report report_builder::build(const findings& f, const options& o, const findings& all) {
  report r;
  r.complete_ = f.complete;
  r.notes_ = f.notes;
  r.pause_ = f.pause;
  r.elapsed_ = f.elapsed;
  r.taken_ = f.taken;
  r.generation_ = f.generation;
  r.doubts_ = doubts(all, o);
  if (o.mode == mode::stop_the_world) r.notes_.push_back("mode stop_the_world is not built yet; a snapshot was taken");
  if (reclaim_tally past = reclaimed_so_far(); past.reclaimed != 0 || past.refused != 0) {
    r.notes_.push_back("leak::reclaim in this process so far: " + std::to_string(past.reclaimed) + " unwound, " +
                       std::to_string(past.refused) + " refused");
  }
  causes why_of(all);
  creator_lines started_by(creator_lines::told_apart_by::lines);
  std::map<group_key, group> groups;
  std::map<group_key, const finding*> oldest;
  for (const finding& x : f.list) {
    if (!is_wanted(x, o)) continue;
    group_key k{&x.pcs, x.tier, x.waits, x.reason, started_by.number(x)};
    group& g = groups[k];
    g.victims += why_of.victims(x);
    goroutine& one = g.goroutines.emplace_back();
    one = {x.id,         x.thread,   {}, std::chrono::nanoseconds(x.age_ns), x.wait.seq, x.bytes + x.heap_bytes,
           x.heap_bytes, x.wait.task};
    for (const profile::label& l : x.labels) one.labels.emplace_back(l.key, l.value);
    const finding*& first = oldest[k];
    if (first == nullptr || x.age_ns > first->age_ns) first = &x;
    r.total_++;
  }
  for (auto& [k, g] : groups) {
    const finding& first = *oldest[k];
    tally(g);
    g.tier = k.tier;
    g.wait_reason = k.waits;
    g.pcs = *k.pcs;
    for (const profile::shown_line& l : profile::shown_lines(*k.pcs)) g.stack.push_back(frame_of(l));
    for (const profile::shown_line& l : started_by.lines(k.creators))
      (g.created_by.function.empty() ? g.created_by : g.called_by.emplace_back()) = frame_of(l);
    g.creator_id = first.creator_id;
    g.cause = why_of.of(first);
    std::sort(g.goroutines.begin(), g.goroutines.end(), [](const goroutine& a, const goroutine& b) { return a.id < b.id; });
    r.groups_.push_back(std::move(g));
  }
  sort_by_count(r.groups_);
  for (std::string& note : profile::symbol_notes()) r.notes_.push_back(std::move(note));  // now that all have been looked up
  return r;
}

report report::only(const std::function<bool(const group&, const goroutine&)>& keep) const {
  report r = *this;
  r.total_ = 0;
  for (group& g : r.groups_) {
    std::erase_if(g.goroutines, [&](const goroutine& one) { return !keep(g, one); });
    tally(g);
    r.total_ += g.count;
  }
  std::erase_if(r.groups_, [](const group& g) { return g.count == 0; });
  sort_by_count(r.groups_);
  return r;
}

report make_report(const findings& f, const options& o, const findings* all) {
  return report_builder::build(f, o, all != nullptr ? *all : f);
}

std::vector<std::pair<std::string, std::size_t>> label_sets(const group& g) {
  std::map<std::vector<std::pair<std::string, std::string>>, std::size_t> counts;
  for (const goroutine& one : g.goroutines) {
    if (!one.labels.empty()) counts[one.labels]++;
  }
  std::vector<std::pair<std::string, std::size_t>> sets;
  for (const auto& [set, count] : counts) sets.emplace_back(text_of_labels(set), count);
  std::stable_sort(sets.begin(), sets.end(), [](auto& a, auto& b) { return a.second > b.second; });
  return sets;
}

namespace {

void print_place(std::ostream& out, const frame& f) {
  if (!f.file.empty()) out << "        " << printable(f.file) << ":" << f.line << "\n";
}

void print_labels(std::ostream& out, const group& g) {
  constexpr std::size_t most = 8;
  std::vector<std::pair<std::string, std::size_t>> sets = label_sets(g);
  for (std::size_t i = 0; i < sets.size() && i < most; i++)
    out << "    labels: " << sets[i].first << (g.count == 1 ? "" : " (" + std::to_string(sets[i].second) + ")") << "\n";
  if (sets.size() > most) out << "    and " << sets.size() - most << " other sets of labels\n";
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const group& g) {
  out << g.count << " x " << g.wait_reason << ", " << to_string(g.tier) << ", blocked for " << age_text(g.age_max) << "\n";
  for (const frame& f : g.stack) {
    out << "    " << printable(f.function) << "\n";
    print_place(out, f);
  }
  if (!g.created_by.function.empty()) {
    out << "    created by " << printable(g.created_by.function);
    if (g.creator_id != 0) out << " in goroutine " << g.creator_id;
    out << "\n";
    print_place(out, g.created_by);
    for (const frame& f : g.called_by) {
      out << "    called by " << printable(f.function) << "\n";
      print_place(out, f);
    }
  }
  out << "    why: " << printable(g.cause) << "\n";
  if (g.heap_bytes != 0) out << "    keeps " << size_text(g.heap_bytes) << " of heap memory\n";
  out << "    " << (g.goroutines.size() > 0 && g.goroutines[0].thread ? "threads" : "goroutines");
  for (std::size_t i = 0; i < g.goroutines.size() && i < 8; i++) out << " " << g.goroutines[i].id;
  if (g.goroutines.size() > 8) out << " ... (" << g.goroutines.size() - 8 << " more)";
  out << "\n";
  print_labels(out, g);
  return out;
}

namespace {

void print_groups(std::ostream& out, const report& r, bool suspected) {
  for (const group& g : r.groups())
    if ((g.tier == tier::suspected) == suspected) out << "\n" << g;
}

}  // namespace

// Who is suspected stands apart, and is not counted as leaked.
std::ostream& operator<<(std::ostream& out, const report& r) {
  std::size_t leaked = 0, groups = 0;
  for (const group& g : r.groups()) {
    leaked += g.tier == tier::suspected ? 0 : g.count;
    groups += g.tier == tier::suspected ? 0 : 1;
  }
  if (leaked == 0) {
    out << (r.complete() && r.doubts().empty() ? "no leaked goroutines\n"
            : r.complete()                     ? "no leaked goroutines proven\n"
                                               : "no leaked goroutines proven, but the detection is incomplete\n");
  } else {
    out << leaked << (leaked == 1 ? " leaked goroutine" : " leaked goroutines") << " in " << groups
        << (groups == 1 ? " group" : " groups") << (r.complete() ? "\n" : "; the detection is incomplete\n");
  }
  print_groups(out, r, false);
  if (leaked != r.total()) {
    out << "\n" << r.total() - leaked << " suspected, no proof of anything:\n";
    print_groups(out, r, true);
  }
  if (!r.doubts().empty()) out << "\n";
  for (const doubt& d : r.doubts())
    out << "and " << d.count << " likely, not proven: " << printable(d.text) << " (find({.min_tier = tier::likely}) shows "
        << (d.count == 1 ? "it" : "them") << ")\n";
  if (!r.notes().empty()) out << "\n";
  for (const std::string& n : r.notes()) out << "note: " << printable(n) << "\n";
  return out;
}

}  // namespace stray::leak
