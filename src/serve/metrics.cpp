#include "serve/metrics.h"

#include <iterator>

#include "base/format.h"
#include "leak/report/cause.h"

namespace stray::serve {

namespace {

// In label values \, " and line feeds are escaped; in our texts there are none but in a reason of somebody's making.
std::string escaped(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out;
}

class writer {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    put("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  template <class Number>
  void value(std::string_view name, Number n) {
    put("{} {}\n", name, n);
  }
  template <class Number>
  void value(std::string_view name, std::string_view label, std::string_view text, Number n) {
    put("{}{{{}=\"{}\"}} {}\n", name, label, escaped(text), n);
  }
  template <class Number>
  void value(std::string_view name, const leak::longest_row& row, Number n) {
    put("{}{{site=\"{}\",reason=\"{}\"}} {}\n", name, escaped(row.site()), escaped(row.reason), n);
  }
  template <class Number>
  void single(std::string_view name, std::string_view type, Number n, std::string_view help) {
    family(name, type, help);
    value(name, n);
  }
  void histogram(std::string_view name, const leak::histogram& h, std::string_view help) {
    family(name, "histogram", help);
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < h.bounds.size(); i++) {
      below += h.counts[i];
      put("{}_bucket{{le=\"{}\"}} {}\n", name, h.bounds[i], below);
    }
    below += h.counts.back();
    put("{}_bucket{{le=\"+Inf\"}} {}\n{}_sum {}\n{}_count {}\n", name, below, name, h.sum, name, below);
  }
  std::string take() { return std::move(text_); }

 private:
  template <class... Args>
  void put(std::type_identity_t<base::format_pattern<sizeof...(Args)>> format, const Args&... args) {
    base::format_to(text_, format, args...);
  }
  std::string text_;
};

void leaked(writer& w, const leak::history& h) {
  w.family("stray_goroutines_leaked", "gauge",
           "Goroutines and threads that can never wake again, as of the last detection; scrape with ?detect=1 to run one. "
           "likely is no proof.");
  for (leak::tier t : {leak::tier::proven, leak::tier::cycle, leak::tier::likely})
    w.value("stray_goroutines_leaked", "tier", leak::to_string(t), h.tiers[static_cast<std::size_t>(t)]);
  w.family(
      "stray_goroutines_likely", "gauge",
      "The likely ones, by the one thing that keeps them from being proven: /debug/pprof/goroutineleak?debug=3 shows them.");
  for (std::size_t i = 0; i < h.doubts.size(); i++) {
    if (const char* doubt = leak::doubt_name(static_cast<leak::grounds>(i)))
      w.value("stray_goroutines_likely", "doubt", doubt, h.doubts[i]);
  }
}

void longest(writer& w, const std::vector<leak::longest_row>& rows) {
  w.family("stray_oldest_wait_seconds", "gauge",
           "How long the one has been blocked that waits longest there. No proof of anything: idle workers wait, too.");
  for (const leak::longest_row& row : rows)
    w.value("stray_oldest_wait_seconds", row, base::format("{:.3f}", std::chrono::duration<double>(row.oldest).count()));
  w.family("stray_waiting_goroutines", "gauge",
           "Goroutines and threads that have been blocked there for over a minute and are not known to be leaked.");
  for (const leak::longest_row& row : rows) w.value("stray_waiting_goroutines", row, row.over_a_minute);
}

}  // namespace

std::string write_metrics(const measures& m) {
  writer w;
  w.family("stray_goroutines", "gauge", "Goroutines that exist, by what they do or wait for.");
  for (const auto& [state, n] : m.goroutines) w.value("stray_goroutines", "state", state, n);
  longest(w, m.longest);
  const leak::history& h = m.leaks;
  if (h.decided()) leaked(w, h);
  w.single("stray_leak_runs_total", "counter", h.runs, "Detections that ended.");
  w.single("stray_leak_runs_incomplete_total", "counter", h.incomplete,
           "Detections that could not decide everything: /debug/pprof/goroutineleak?debug=3 says why.");
  if (h.runs != 0) {
    double taken = std::chrono::duration<double>(h.taken.time_since_epoch()).count();
    w.family("stray_leak_last_run_timestamp_seconds", "gauge", "When the last detection began.");
    w.value("stray_leak_last_run_timestamp_seconds", base::format("{:.3f}", taken));
    w.single("stray_leak_last_run_complete", "gauge", h.complete ? 1 : 0, "1: the last detection decided everything.");
  }
  w.histogram("stray_leak_pause_seconds", h.pauses,
              "The longest stand-still of threads in each detection that took a snapshot.");
  w.histogram("stray_leak_run_seconds", h.took, "How long detections took.");
  w.single("stray_leak_wrong_verdicts_total", "counter", m.wrong_verdicts,
           "Goroutines that were called leaked and ran again. Anything but 0 is a bug of stray's: please report it.");
  w.single(
      "stray_tracer_unknown_bytes", "gauge", h.unknown_bytes,
      "Memory that the last snapshot took as alive, since it belongs to no module, no stack and no heap that can be walked.");
  return w.take();
}

}  // namespace stray::serve
