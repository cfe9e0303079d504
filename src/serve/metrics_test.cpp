#include "serve/metrics.h"

#include <gtest/gtest.h>

#include "leak/model/findings.h"

using namespace stray;
using namespace std::chrono_literals;

namespace {

leak::findings found(std::initializer_list<leak::tier> tiers, bool complete = true) {
  leak::findings f;
  for (leak::tier t : tiers) {
    leak::finding& one = f.list.emplace_back();
    one.tier = t;
    if (t == leak::tier::likely) one.reason = leak::grounds::orphan;
  }
  f.complete = complete;
  f.looks = 1;
  f.pause = 2ms;
  f.elapsed = 20ms;
  f.unknown_bytes = 4096;
  f.taken = std::chrono::system_clock::time_point(1'700'000'000'250ms);
  return f;
}

bool has(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(metrics, before_the_first_detection) {
  std::string text = serve::write_metrics({});
  EXPECT_TRUE(has(text, "stray_leak_runs_total 0")) << text;
  EXPECT_EQ(text.find("stray_goroutines_leaked"), std::string::npos) << "nobody has looked: 0 would say that all is well";
  EXPECT_EQ(text.find("stray_goroutines_likely"), std::string::npos);
  EXPECT_TRUE(has(text, "stray_leak_run_seconds_bucket{le=\"+Inf\"} 0"));
  EXPECT_EQ(text.find("last_run"), std::string::npos) << "there was none";
}

TEST(metrics, of_detections) {
  serve::measures m;
  m.goroutines = {{"chan receive", 3}, {"running", 1}};
  m.leaks.add(found({leak::tier::proven, leak::tier::proven, leak::tier::cycle, leak::tier::likely}));
  m.wrong_verdicts = 7;
  std::string text = serve::write_metrics(m);
  for (const char* line : {"stray_goroutines{state=\"chan receive\"} 3",
                           "stray_goroutines{state=\"running\"} 1",
                           "stray_goroutines_leaked{tier=\"proven\"} 2",
                           "stray_goroutines_leaked{tier=\"cycle\"} 1",
                           "stray_goroutines_leaked{tier=\"likely\"} 1",
                           "stray_goroutines_likely{doubt=\"orphan block\"} 1",
                           "stray_goroutines_likely{doubt=\"ambiguous word\"} 0",
                           "stray_leak_runs_total 1",
                           "stray_leak_runs_incomplete_total 0",
                           "stray_leak_last_run_timestamp_seconds 1700000000.250",
                           "stray_leak_last_run_complete 1",
                           "# TYPE stray_leak_pause_seconds histogram",
                           "stray_leak_pause_seconds_bucket{le=\"0.001\"} 0",
                           "stray_leak_pause_seconds_bucket{le=\"0.003\"} 1",
                           "stray_leak_pause_seconds_bucket{le=\"10\"} 1",
                           "stray_leak_pause_seconds_bucket{le=\"+Inf\"} 1",
                           "stray_leak_pause_seconds_sum 0.002",
                           "stray_leak_pause_seconds_count 1",
                           "stray_leak_run_seconds_bucket{le=\"0.01\"} 0",
                           "stray_leak_run_seconds_bucket{le=\"0.03\"} 1",
                           "stray_leak_wrong_verdicts_total 7",
                           "stray_tracer_unknown_bytes 4096"})
    EXPECT_TRUE(has(text, line)) << line << "\nnot in\n" << text;
  EXPECT_TRUE(text.ends_with("\n"));
}

TEST(metrics, leaked_ones_are_missing_until_a_detection_decides) {
  serve::measures m;
  m.leaks.add(found({}, false));
  EXPECT_EQ(serve::write_metrics(m).find("stray_goroutines_leaked"), std::string::npos);
  m.leaks.add(found({}));
  EXPECT_TRUE(has(serve::write_metrics(m), "stray_goroutines_leaked{tier=\"proven\"} 0"));
}

TEST(metrics, label_values_are_escaped) {
  serve::measures m;
  m.goroutines = {{"a\\b\"c\nd", 1}};
  EXPECT_TRUE(has(serve::write_metrics(m), "stray_goroutines{state=\"a\\\\b\\\"c\\nd\"} 1"));
}

TEST(metrics, who_has_been_blocked_longest) {
  serve::measures m;
  leak::longest_row& r = m.longest.emplace_back();
  r.function = "shop::take<\"x\">";
  r.file = "/src/orders.cpp";
  r.line = 41;
  r.reason = "chan receive";
  r.count = 9;
  r.over_a_minute = 7;
  r.oldest = 7205s;
  std::string text = serve::write_metrics(m);
  EXPECT_TRUE(
      has(text, "stray_oldest_wait_seconds{site=\"shop::take<\\\"x\\\"> orders.cpp:41\",reason=\"chan receive\"} 7205.000"))
      << text;
  EXPECT_TRUE(has(text, "stray_waiting_goroutines{site=\"shop::take<\\\"x\\\"> orders.cpp:41\",reason=\"chan receive\"} 7"));
  EXPECT_EQ(text.find("stray_goroutines_leaked"), std::string::npos) << "it is no verdict";
}

TEST(history, an_undecided_detection_heals_no_leak) {
  leak::history h;
  h.add(found({leak::tier::proven}));
  h.add(found({}, false));
  EXPECT_EQ(h.leaked(), 1u);
  EXPECT_FALSE(h.complete);
  EXPECT_EQ(h.incomplete, 1u);
  h.add(found({leak::tier::proven, leak::tier::cycle}, false));
  EXPECT_EQ(h.leaked(), 2u) << "what it proved it proved";
  h.add(found({}));
  EXPECT_EQ(h.leaked(), 0u) << "reclaimed";
}

TEST(history, times_beyond_the_last_bound) {
  leak::histogram h;
  h.add(10s);
  h.add(10001ms);
  h.add(0s);
  EXPECT_EQ(h.counts.front(), 1u);
  EXPECT_EQ(h.counts[h.bounds.size() - 1], 1u) << "a bound belongs to its bucket";
  EXPECT_EQ(h.counts.back(), 1u);
}

}  // namespace
