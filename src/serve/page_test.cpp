#include "serve/page.h"
#include "leak/report/make_report.h"

#include <gtest/gtest.h>

#include "serve/wait_svg.h"

using namespace stray;
using namespace stray::serve;

namespace {

std::size_t count(const std::string& text, std::string_view what) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) n++;
  return n;
}

// One goroutine each, without a stack: ids are task ids.
struct content : page_content {
  leak::finding& add(std::uint64_t id) {
    leak::finding& f = list->list.emplace_back();
    f.id = id;
    f.wait = stray::wait_id(id, 1);
    f.pcs = {id};
    f.waits = "chan receive";
    return f;
  }
  std::string page() {
    program = "a<b>&\"c\"";
    report = leak::make_report(*list, {.min_tier = leak::tier::likely});
    found = list;
    return write_page(*this).text;
  }
  std::shared_ptr<leak::findings> list = std::make_shared<leak::findings>();
};

TEST(page, verdicts) {
  content c;
  EXPECT_NE(c.page().find("No leaked goroutines"), std::string::npos);
  c.list->complete = false;
  c.list->notes = {"no memory: <b>"};
  EXPECT_NE(c.page().find("No verdict"), std::string::npos) << "silence is no verdict";
  EXPECT_NE(c.page().find("note: no memory: &lt;b&gt;"), std::string::npos);
  c.add(5);
  EXPECT_NE(c.page().find("1 leaked goroutine in 1 group; the detection is incomplete"), std::string::npos);
}

TEST(page, likely_ones_are_no_leaked_ones) {
  content c;
  leak::finding& f = c.add(5);
  f.tier = leak::tier::likely;
  f.reason = leak::grounds::orphan;
  f.place = "a heap block that <nothing> is seen to refer to, at 0x123";
  std::string text = c.page();
  EXPECT_NE(text.find("No leaked goroutines proven"), std::string::npos);
  EXPECT_NE(text.find("and 1 likely, not proven: a heap block that &lt;nothing&gt; is seen to refer to</p>"), std::string::npos)
      << text;
  c.add(6);
  text = c.page();
  EXPECT_NE(text.find("1 leaked goroutine in 1 group<"), std::string::npos);
  EXPECT_NE(text.find("and 1 likely, not proven: "), std::string::npos);
}

TEST(page, what_the_program_says_is_text) {
  content c;
  c.asked = 7;
  c.answer = "</pre><script>alert(1)</script>";
  std::string text = c.page();
  EXPECT_EQ(text.find("<script"), std::string::npos);
  EXPECT_NE(text.find("&lt;script&gt;"), std::string::npos);
  EXPECT_NE(text.find("<title>a&lt;b&gt;&amp;&quot;c&quot;: leaked"), std::string::npos);
}

TEST(page, what_the_program_says_is_printable) {
  content c;
  c.asked = 7;
  c.answer = "one\n\ttwo \x1b[2J\a\xe2\x80\xae";
  leak::longest_row& stuck = c.longest.emplace_back();
  stuck.function = "shop::answer";
  stuck.file = "/src/\xc2\x9b.cpp";
  stuck.line = 1;
  std::string text = c.page();
  EXPECT_NE(text.find("<pre>one\n\ttwo \\x1b[2J\\a\\u202e</pre>"), std::string::npos) << text;
  EXPECT_NE(text.find("/src/\\u009b.cpp:1"), std::string::npos) << text;
}

TEST(page, who_has_been_blocked_longest_stands_apart) {
  content c;
  EXPECT_NE(c.page().find("Nobody else has waited for a second"), std::string::npos);
  leak::longest_row pool;
  pool.function = "shop::work<int>";
  pool.reason = "chan receive";
  pool.count = pool.over_a_minute = 8;
  pool.oldest = std::chrono::hours(2);
  leak::longest_row stuck = pool;
  stuck.function = "shop::answer";
  stuck.file = "/src/a<b>.cpp";
  stuck.line = 41;
  stuck.growth = 30;
  c.longest = {stuck, pool};
  std::string text = c.page();
  EXPECT_NE(text.find("No leaked goroutines"), std::string::npos) << "it is no verdict";
  EXPECT_NE(text.find("<td class=\"n\"><b class=\"warn\">+30</b></td><td class=\"n\">120 min</td><td>chan receive</td>"
                      "<td class=\"mono\">shop::answer <span class=\"dim\">/src/a&lt;b&gt;.cpp:41</span></td>"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("<td class=\"n\">8</td><td class=\"n\">8</td><td class=\"n\">-</td>"), std::string::npos)
      << "an idle pool";
}

TEST(page, labels_are_counted_and_cut) {
  content c;
  for (std::uint64_t id = 1; id <= 20; id++) {
    leak::finding& f = c.add(id);
    f.pcs = {1};
    f.labels = {{"route", "/buy"}, {"tenant", id <= 2 ? "<acme>" : std::to_string(id)}};
  }
  profile::stack_entry& alive = c.all.emplace_back();
  alive.state = "chan receive";
  alive.labels = {{"tenant", "alive"}};
  std::string text = c.page();
  EXPECT_NE(text.find("route=/buy tenant=&lt;acme&gt;</span> (2)"), std::string::npos) << text;
  EXPECT_NE(text.find(" · 7 more"), std::string::npos) << "19 kinds, of that 12 shown";
  EXPECT_NE(text.find("tenant=alive"), std::string::npos);
}

TEST(page, victims_stand_below_their_root) {
  content c;
  c.add(5);
  leak::finding& victim = c.add(6);
  victim.waits_for = victim.root = 5;
  std::string text = c.page();
  std::size_t root = text.find("id=\"g0\""), other = text.find("id=\"g1\""), close = text.find("</details>");
  ASSERT_NE(other, std::string::npos);
  EXPECT_LT(root, close);
  EXPECT_LT(other, close) << "inside of it";
  EXPECT_EQ(count(text, "<details"), 2u);
  EXPECT_EQ(count(text, "class=\"wait\""), 1u) << "one arrow";
  EXPECT_EQ(count(text, "wait ring"), 0u);
}

TEST(page, a_cycle_is_drawn_as_one) {
  content c;
  c.add(5).waits_for = 6;
  leak::finding& other = c.add(6);
  other.waits_for = 5;
  for (leak::finding& f : c.list->list) f.ring = true, f.root = 5;
  std::string text = c.page();
  EXPECT_EQ(count(text, "class=\"wait ring\""), 2u);
  EXPECT_EQ(count(text, "class=\"box ring\""), 2u);
}

TEST(page, many_groups_are_cut_and_said) {
  content c;
  for (std::uint64_t id = 1; id <= 300; id++) c.add(id * 1000);
  std::string text = c.page();
  EXPECT_EQ(count(text, "<details"), 200u);
  EXPECT_NE(text.find("100 groups more"), std::string::npos);
}

TEST(trend, keeps_the_whole_time_when_it_is_full) {
  leak::trend t;
  for (std::int64_t i = 0; i < 10'000; i++) t.add({i, static_cast<std::size_t>(i)});
  EXPECT_LE(t.used, t.points.size());
  EXPECT_GE(t.used, t.points.size() / 2);
  EXPECT_EQ(t.points[0].taken_s, 0);
  EXPECT_EQ(t.last.taken_s, 9999);
  for (std::size_t i = 2; i < t.used; i++)
    EXPECT_EQ(t.points[i].taken_s - t.points[i - 1].taken_s, t.points[1].taken_s - t.points[0].taken_s) << i;
}

TEST(wait_svg, layers_and_escapes) {
  graph_box boxes[] = {{"f<T>", "1", "#a"}, {"g", "2", ""}, {"h", "3", ""}};
  graph_arrow arrows[] = {{0, 1, ""}, {1, 2, "7"}, {2, 2, ""}};
  std::string svg = draw_waits(boxes, arrows);
  EXPECT_EQ(svg.find("f<T>"), std::string::npos);
  EXPECT_EQ(count(svg, "class=\"box ring\""), 1u) << "who waits for itself";
  EXPECT_LT(svg.find(">f&lt;T&gt;<"), svg.find(">g<"));
  EXPECT_EQ(draw_waits({}, {}), "");
}

TEST(shortened, cuts_in_the_middle_between_characters) {
  EXPECT_EQ(shortened("abcdef", 6), "abcdef");
  EXPECT_EQ(shortened("abcdefg", 6), "ab…efg");
  EXPECT_EQ(shortened("äääääääää", 7), "ä…ä") << "each is two bytes";
}

}  // namespace
