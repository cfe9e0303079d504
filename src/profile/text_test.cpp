// The grammar of the text formats as regular expressions, checked on Go's own output first, so that it is Go's grammar.
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <regex>
#include <sstream>

#include "profile/formats.h"
#include "profile/symbolize.h"
#include "profile/text.h"
#include "profile/unwind.h"

using namespace stray::profile;

namespace {

std::string go_output(const char* name) {
  std::ifstream file(std::filesystem::path(__FILE__).parent_path() / "testdata" / name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The first line that does not fit; empty: all fit.
std::string check_counts(const std::string& text) {
  static const std::regex header(R"([a-z]+ profile: total \d+)"), group(R"(\d+ @( 0x[0-9a-f]+)+)"),
      labels(R"(# labels: \{"(\\.|[^"\\])*":"(\\.|[^"\\])*"(, "(\\.|[^"\\])*":"(\\.|[^"\\])*")*\})"),
      frame("#\t0x[0-9a-f]+\t+[^\t]+\\+0x[0-9a-f]+\t+[^\t]+:\\d+");
  auto lines = lines_of(text);
  if (lines.empty() || !text.ends_with('\n') || !std::regex_match(lines[0], header)) return "header: " + text.substr(0, 80);
  enum { want_group, want_labels_or_frame, want_frame } state = want_group;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::string& l = lines[i];
    if (state == want_group) {
      if (!std::regex_match(l, group)) return l;
      state = want_labels_or_frame;
    } else if (l.empty()) {
      state = want_group;
    } else if (state == want_labels_or_frame && std::regex_match(l, labels)) {
      state = want_frame;
    } else if (!std::regex_match(l, frame)) {
      return l;
    }
  }
  return state == want_group ? "" : "no blank line at the end";
}

std::string check_stacks(const std::string& text) {
  static const std::regex header(
      R"(((goroutine \d+)|(thread \d+ \(.*\))) \[[a-zA-Z. ]+( \((nil chan|no cases)\))?( \(leaked\))?(, \d+ minutes)?(, locked to thread)?\]( \{.*\})?:)"),
      function(R"(\S.*\(.*\))"), created(R"(created by \S.*?( in goroutine \d+)?)"), place(R"(\t.+:\d+( \+0x[0-9a-f]+)?)"),
      none(R"(\t[a-z ;]+)");
  auto lines = lines_of(text);
  if (!text.ends_with('\n') || text.ends_with("\n\n")) return "end";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!std::regex_match(lines[i], header)) return lines[i];
    if (i + 1 < lines.size() && std::regex_match(lines[i + 1], none) && !std::regex_match(lines[i + 1], place)) ++i;
    for (++i; i < lines.size() && !lines[i].empty(); i += 2) {
      if (!std::regex_match(lines[i], function) && !std::regex_match(lines[i], created)) return lines[i];
      if (i + 1 == lines.size() || !std::regex_match(lines[i + 1], place)) return lines[i] + " without place";
    }
  }
  return "";
}

namespace inner {
[[gnu::noinline]] std::vector<std::uintptr_t> here() {
  std::vector<std::uintptr_t> pcs(32);
  pcs.resize(unwind_here(pcs.data(), pcs.size()));
  asm volatile("");
  return pcs;
}
}  // namespace inner

}  // namespace

namespace shop {
[[gnu::noinline]] std::vector<std::uintptr_t> checkout() {
  auto pcs = inner::here();
  asm volatile("");
  return pcs;
}
[[gnu::noinline]] std::vector<std::uintptr_t> a_rather_long_name_of_a_function_to_align_with() {
  auto pcs = checkout();
  asm volatile("");
  return pcs;
}
}  // namespace shop

TEST(text, the_grammar_is_gos) {
  for (const char* name : {"go1.26-debug1.txt", "go1.26-goroutine-debug1.txt"}) {
    ASSERT_GT(go_output(name).size(), 100U) << name;
    EXPECT_EQ(check_counts(go_output(name)), "") << name;
  }
  for (const char* name : {"go1.26-debug2.txt", "go1.26-goroutine-debug2.txt"}) {
    ASSERT_GT(go_output(name).size(), 100U) << name;
    EXPECT_EQ(check_stacks(go_output(name)), "") << name;
  }
}

TEST(text, counts_follow_the_grammar_and_are_grouped) {
  sample a, b, c;
  a.pcs = shop::a_rather_long_name_of_a_function_to_align_with();
  a.count = 2;
  a.labels = {{"route", "/buy \"it\"\n"}, {"tenant", "acme"}};
  a.tier = "proven";
  b = a;
  b.tier = "cycle";
  b.count = 3;
  c.pcs = {a.pcs.begin() + 1, a.pcs.end()};
  c.count = 4;
  std::vector<sample> samples{c, a, b};
  std::string text = write_counts("goroutineleak", samples);
  EXPECT_EQ(check_counts(text), "");
  EXPECT_TRUE(text.starts_with("goroutineleak profile: total 9\n5 @ 0x")) << text;
  EXPECT_NE(text.find("\n# labels: {\"route\":\"/buy \\\"it\\\"\\n\", \"tenant\":\"acme\"}\n#\t0x"), std::string::npos) << text;
  EXPECT_NE(text.find("\n\n4 @ 0x"), std::string::npos) << text;
  EXPECT_NE(text.find("\tshop::checkout+0x"), std::string::npos);
}

TEST(text, nothing_leaked) {
  EXPECT_EQ(write_counts("goroutineleak", {}), "goroutineleak profile: total 0\n");
  EXPECT_EQ(write_stacks({}), "");
}

TEST(text, incomplete_is_said_where_go_skips_it) {
  const std::vector<std::string> reasons{"clone was refused (EPERM)", "thread 7 (a\nb) could not be stopped"};
  const std::string lines = "# incomplete: clone was refused (EPERM)\n# incomplete: thread 7 (a\\nb) could not be stopped\n";
  EXPECT_EQ(write_counts("goroutineleak", {}, reasons), "goroutineleak profile: total 0\n" + lines);
  std::vector<stack_entry> entries(1);
  entries[0].id = 7;
  entries[0].state = "running";
  entries[0].no_stack = "stack unavailable";
  EXPECT_EQ(write_stacks(entries, reasons), lines + "\ngoroutine 7 [running]:\n\tstack unavailable\n");
  EXPECT_EQ(write_stacks({}, reasons), lines);
  const std::vector<std::string> likely{"3, not proven: a doubt"};
  EXPECT_EQ(write_counts("goroutineleak", {}, {}, likely),
            "goroutineleak profile: total 0\n# likely: 3, not proven: a doubt\n");
  EXPECT_EQ(write_stacks({}, reasons, likely), lines + "# likely: 3, not proven: a doubt\n");
}

TEST(text, columns_are_aligned_by_tabs) {
  sample s;
  s.pcs = shop::a_rather_long_name_of_a_function_to_align_with();
  s.count = 1;
  std::vector<std::size_t> columns;
  for (const std::string& line : lines_of(write_counts("goroutine", std::span(&s, 1)))) {
    if (!line.starts_with("#\t")) continue;
    std::size_t column = 0, last = 0;
    for (char ch : line) {
      column = ch == '\t' ? (column / 8 + 1) * 8 : column + 1;
      if (ch == '\t') last = column;
    }
    columns.push_back(last);
  }
  ASSERT_GE(columns.size(), 3U);
  for (std::size_t c : columns) EXPECT_EQ(c, columns[0]);
}

TEST(text, stacks_follow_the_grammar) {
  std::vector<stack_entry> entries(4);
  entries[0].id = 7;
  entries[0].state = "chan receive (nil chan) (leaked)";
  entries[0].minutes = 3;
  entries[0].locked_to_thread = true;
  entries[0].labels = {{"route", "/buy"}};
  entries[0].pcs = shop::a_rather_long_name_of_a_function_to_align_with();
  entries[0].created_by_pc = entries[0].pcs[2];
  entries[0].creator_id = 1;
  entries[1].id = 8;
  entries[1].state = "running";
  entries[1].no_stack = "goroutine running on other thread; stack unavailable";
  entries[2].id = 4711;
  entries[2].thread_name = "main";
  entries[2].state = "sync.Mutex.Lock";
  entries[2].pcs = entries[0].pcs;
  entries[3].id = 9;
  entries[3].state = "select (no cases) (leaked)";
  entries[3].pcs = entries[0].pcs;
  entries[3].created_by_pc = entries[0].pcs[2];
  std::string text = write_stacks(entries);
  EXPECT_EQ(check_stacks(text), "") << text;
  EXPECT_TRUE(
      text.starts_with("goroutine 7 [chan receive (nil chan) (leaked), 3 minutes, locked to thread] {\"route\": \"/buy\"}:\n"))
      << text;
  EXPECT_NE(text.find("\nshop::checkout(...)\n\t"), std::string::npos) << text;
  EXPECT_NE(text.find("\ncreated by shop::a_rather_long_name_of_a_function_to_align_with in goroutine 1\n\t"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\n\ngoroutine 8 [running]:\n\tgoroutine running on other thread; stack unavailable\n\nthread 4711 "
                      "(main) [sync.Mutex.Lock]:\n"),
            std::string::npos)
      << text;
}

namespace shop {
#line 1 "evil\033[2J\nname.cpp"
[[gnu::noinline]] std::vector<std::uintptr_t> from_an_evil_file() {
  auto pcs = inner::here();
  asm volatile("");
  return pcs;
}
}  // namespace shop

TEST(text, names_of_files_are_escaped) {
  sample s;
  s.pcs = shop::from_an_evil_file();
  s.count = 1;
  stack_entry e;
  e.id = 7;
  e.state = "running";
  e.pcs = s.pcs;
  for (const std::string& text : {write_counts("goroutine", std::span(&s, 1)), write_stacks(std::span(&e, 1))}) {
    EXPECT_NE(text.find("evil\\x1b[2J\\nname.cpp:2"), std::string::npos) << text;
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
  }
}
