// A report's parts: only(), the text of a group, labels; and that a test can wait until nothing runs.
#include <algorithm>
#include <atomic>
#include <gtest/gtest.h>
#include <sstream>
#include <string>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "leak/detect/detector.h"
#include "leak/goroutines/dump.h"
#include "leak/model/findings.h"
#include "leak/report/history.h"
#include "leak/report/make_report.h"

namespace people {  // what is in ours is never shown

#define KEEP_FRAME asm volatile("" ::: "memory")  // the call before it is none at the end of the function

[[gnu::noinline]] void spawn_for_others() {
  stray::go([c = stray::make_chan<int>()] { c.recv(); });
  KEEP_FRAME;
}
[[gnu::noinline]] void spawn_twice() {
  for (int i = 0; i < 2; i++) spawn_for_others();
  KEEP_FRAME;
}
[[gnu::noinline]] void spawn_once() {
  spawn_for_others();
  KEEP_FRAME;
}

}  // namespace people

namespace stray::leak {
namespace {

// Each with a channel that nobody else has, and a label.
[[gnu::noinline]] void start(int from, int to) {
  for (int i = from; i < to; i++) {
    pprof::labels({{"number", std::to_string(i)}}, [] { go([c = make_chan<int>()] { c.recv(); }); });
  }
}

std::string number_of(const goroutine& g) {
  return g.labels.size() == 1 && g.labels[0].first == "number" ? g.labels[0].second : "?";
}

TEST(report, only_keeps_what_is_asked_for) {
  start(0, 5);
  testing::until_parked(5);
  report all = find();
  ASSERT_EQ(all.total(), 5u);
  ASSERT_EQ(all.groups().size(), 1u);
  report some = all.only([](const group&, const goroutine& g) { return number_of(g) == "1" || number_of(g) == "3"; });
  EXPECT_EQ(some.total(), 2u);
  EXPECT_EQ(some.generation(), all.generation());
  const group& g = some.groups()[0];
  ASSERT_EQ(g.count, 2u);
  EXPECT_EQ(g.bytes, g.goroutines[0].bytes + g.goroutines[1].bytes);
  EXPECT_GE(g.goroutines[0].bytes, 4096u) << "a page of stack at least";
  EXPECT_EQ(g.age_max, std::max(g.goroutines[0].age, g.goroutines[1].age));
  EXPECT_EQ(g.cause, all.groups()[0].cause);
  EXPECT_EQ(all.total(), 5u) << "the report itself is as it was";
  report none = all.only([](const group&, const goroutine&) { return false; });
  EXPECT_EQ(none.total(), 0u);
  EXPECT_TRUE(none.groups().empty());
  std::ostringstream text;
  text << some.groups()[0];
  EXPECT_NE(text.str().find("2 x chan receive, proven"), std::string::npos) << text.str();
  EXPECT_NE(text.str().find("    labels: number=1 (1)\n    labels: number=3 (1)\n"), std::string::npos) << text.str();
  EXPECT_EQ(reclaim(some).count(reclaim_outcome::reclaimed), 2u) << "these, and no others";
  EXPECT_EQ(find().total(), 3u);
  reclaim(find());
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) n++;
  return n;
}

TEST(report, tells_apart_who_asked_the_same_function_to_start_them) {
  people::spawn_twice();
  people::spawn_once();
  testing::until_parked(3);
  report r = find();
  ASSERT_EQ(r.total(), 3u);
  ASSERT_EQ(r.groups().size(), 2u) << r;
  const std::string callers[] = {"people::spawn_twice", "people::spawn_once"};
  for (std::size_t i = 0; i < 2; i++) {
    const group& g = r.groups()[i];
    EXPECT_EQ(g.count, 2 - i);
    EXPECT_NE(g.created_by.function.find("spawn_for_others"), std::string::npos) << g;
    ASSERT_EQ(g.called_by.size(), 1u) << g;
    EXPECT_NE(g.called_by[0].function.find(callers[i]), std::string::npos) << g;
    EXPECT_GT(g.called_by[0].line, 0);
    std::ostringstream text;
    text << g;
    EXPECT_NE(text.str().find(callers[i]), std::string::npos) << g;
    EXPECT_EQ(occurrences(text.str(), "    called by "), 1u) << g;
  }
  auto sampled = leak_samples(*detect());
  ASSERT_EQ(sampled.size(), 2u);
  for (const profile::sample& s : sampled) {
    EXPECT_NE(s.created_by.find("spawn_for_others"), std::string::npos);
    ASSERT_EQ(s.called_by.size(), 1u);
    EXPECT_NE(s.called_by[0].find(callers[s.count == 2 ? 0 : 1]), std::string::npos);
  }
  std::string stacks = pprof::handle("GET", "/debug/pprof/goroutineleak?debug=2").body;
  EXPECT_EQ(occurrences(stacks, "\ncreated by "), 3u) << stacks;
  EXPECT_EQ(occurrences(stacks, "called by"), 0u) << "Go's format has one frame";
  EXPECT_EQ(reclaim(r).count(reclaim_outcome::reclaimed), 3u);
}

TEST(report, says_who_is_likely_and_why) {
  static std::atomic<std::uintptr_t> hidden{0};
  go([] { hidden = ~reinterpret_cast<std::uintptr_t>(new chan<int>(make_chan<int>())); });  // no address stays in this frame
  while (num_goroutine() != 0) yield();
  auto open = []() -> chan<int>& { return *reinterpret_cast<chan<int>*>(~hidden.load()); };
  go([open] {
    chan<int> mine = open();
    mine.recv();
  });
  testing::until_parked(1);
  report r;
  while ((r = find()).likely() == 0) yield();
  EXPECT_EQ(r.total(), 0u);
  EXPECT_TRUE(r.complete());
  ASSERT_EQ(r.doubts().size(), 1u);
  EXPECT_EQ(r.doubts()[0].count, 1u);
  EXPECT_EQ(r.doubts()[0].text, "a heap block that nothing is seen to refer to");
  std::ostringstream text, asked;
  text << r;
  EXPECT_EQ(text.str(),
            "no leaked goroutines proven\n\nand 1 likely, not proven: a heap block that nothing is seen to refer to "
            "(find({.min_tier = tier::likely}) shows it)\n");
  report all = find({.min_tier = tier::likely});
  EXPECT_EQ(all.total(), 1u);
  EXPECT_EQ(all.likely(), 0u) << "it is in the groups";
  EXPECT_EQ(so_far().doubts[static_cast<std::size_t>(grounds::orphan)], 1u) << "for /metrics";
  EXPECT_EQ(find({.min_age = std::chrono::hours(1)}).likely(), 0u);
  for (const char* debug : {"1", "2"}) {
    std::string body = pprof::handle("GET", std::string("/debug/pprof/goroutineleak?debug=") + debug).body;
    EXPECT_NE(body.find("# likely: 1, not proven: a heap block that nothing is seen to refer to\n"), std::string::npos) << body;
  }
  EXPECT_NE(pprof::handle("GET", "/debug/pprof/goroutineleak?debug=3").body.find("1 x chan receive, likely"),
            std::string::npos);
  open().close();
  while (num_goroutine() != 0) yield();
  delete &open();
}

TEST(report, labels_forge_no_lines_and_reach_no_terminal) {
  const std::string evil = "x\n1 leaked goroutine in 1 group\n\x1b]0;owned\a\xe2\x80\xae\xff tenant=b";
  std::uint64_t id = 0;
  pprof::labels({{"evil", evil}, {"tenant", "a"}, {"name", evil}}, [&] {
    go([&id, c = make_chan<int>()] {
      id = goroutine_id();
      c.recv();
    });
  });
  testing::until_parked(1);
  report r = find();
  ASSERT_EQ(r.total(), 1u);
  std::ostringstream text;
  text << r;
  const std::string shown = R"("x\n1 leaked goroutine in 1 group\n\x1b]0;owned\a\u202e\xff tenant=b")";
  EXPECT_NE(text.str().find("    labels: evil=" + shown + " name=" + shown + " tenant=a\n"), std::string::npos) << text.str();
  std::vector<std::string> texts = {text.str(), why(id)};
  for (const char* debug : {"1", "2", "3"})
    texts.push_back(pprof::handle("GET", std::string("/debug/pprof/goroutineleak?debug=") + debug).body);
  for (const std::string& one : texts) {
    EXPECT_EQ(one.find_first_of("\x1b\a\xff\xe2"), std::string::npos) << one;
    EXPECT_EQ(one.find("\n1 leaked goroutine in 1 group\n", 1), std::string::npos) << one;
  }
  reclaim(r);
}

TEST(age_text, has_two_digits_up_to_ten_seconds) {
  using namespace std::chrono_literals;
  EXPECT_EQ(age_text(0ns), "0 ms");
  EXPECT_EQ(age_text(999ms), "999 ms");
  EXPECT_EQ(age_text(1000ms), "1.0 s");
  EXPECT_EQ(age_text(5338ms), "5.3 s");
  EXPECT_EQ(age_text(9999ms), "9.9 s");
  EXPECT_EQ(age_text(34s), "34 s");
  EXPECT_EQ(age_text(11min), "11 min");
}

TEST(until_settled, waits_for_who_is_not_at_rest) {
  std::atomic<bool> stop{false}, late{false};
  go([&] {
    while (!stop) yield();
  });
  EXPECT_FALSE(testing::until_settled(std::chrono::milliseconds(20))) << "one still runs";
  go([&] {
    for (int i = 0; i < 1000; i++) yield();
    late = true;
  });
  stop = true;
  EXPECT_TRUE(testing::until_settled(std::chrono::seconds(30)));
  EXPECT_TRUE(late);
  std::atomic<bool> from_goroutine{false};
  go([&] { from_goroutine = testing::until_settled(std::chrono::seconds(30)); });
  EXPECT_TRUE(testing::until_settled(std::chrono::seconds(30)));
  EXPECT_TRUE(from_goroutine) << "the caller does not wait for itself";
}

}  // namespace
}  // namespace stray::leak
