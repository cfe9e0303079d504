#include "serve/routes.h"

#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <malloc.h>

#include "serve/delta.h"
#include "serve/query.h"

using namespace stray;
using namespace stray::serve;

namespace {

[[gnu::noinline]] void code() { asm volatile("nop; nop; nop; nop; nop; nop; nop; nop"); }

struct fake_collector : collector {
  int collections = 0, growing = 0;
  std::vector<std::string> incomplete, likely;
  bool nothing = false;
  bool broken = false, with_extras = false, busy = false;
  std::vector<look> looks;
  std::optional<std::chrono::system_clock::time_point> taken;
  std::string asked, broken_text = "detection was refused: no memory";
  tally leaks{0, 0, false};

  bool no_time = false;
  std::optional<kept_answer> last;
  std::string kept_for;

  void ask_for_time() override {
    if (no_time) throw too_soon("not so soon", std::chrono::seconds(7));
  }
  void keep(std::string_view question, const response& r) override {
    kept_for = question;
    last = {r, std::chrono::system_clock::now()};
  }
  std::optional<kept_answer> kept(std::string_view question) override {
    return no_time && question == kept_for ? last : std::nullopt;
  }
  profile::collection<profile::sample> samples(std::string_view name, look how) override {
    asked = name;
    looks.push_back(how);
    if (busy) throw too_soon("not so soon", std::chrono::seconds(7));
    if (broken) throw std::runtime_error(broken_text);
    ++collections;
    if (nothing) return {{}, incomplete, likely};
    profile::sample s;
    s.pcs = {reinterpret_cast<std::uintptr_t>(&code) + 4};
    s.count = 6 + growing * collections;
    return {{s}, incomplete, likely};
  }
  profile::collection<profile::stack_entry> stacks(std::string_view name, bool leaked_only) override {
    asked = name;
    if (nothing && leaked_only) return {{}, incomplete, likely};
    std::vector<profile::stack_entry> all(leaked_only ? 1 : 2);
    all[0].id = 5;
    all[0].state = "chan send (leaked)";
    all[0].pcs = {reinterpret_cast<std::uintptr_t>(&code) + 4};
    if (!leaked_only) {
      all[1].id = 1;
      all[1].state = "running";
      all[1].no_stack = "goroutine running on other thread; stack unavailable";
    }
    return {all, incomplete, likely};
  }
  tally count(std::string_view name) override { return name == "goroutine" ? tally{19, 0, true} : leaks; }
  std::optional<std::string> explain() override { return with_extras ? std::optional<std::string>("because\n") : std::nullopt; }
  std::optional<std::string> metrics(bool detect) override {
    if (detect) ++collections;
    return with_extras ? std::optional<std::string>("stray_goroutines 1\n") : std::nullopt;
  }
  std::optional<std::chrono::system_clock::time_point> taken_before() override { return taken; }
  std::optional<std::string> longest() override { return with_extras ? std::optional<std::string>("count\n") : std::nullopt; }
  std::optional<std::string> why(std::uint64_t id) override {
    return with_extras ? std::optional<std::string>("of " + std::to_string(id) + "\n") : std::nullopt;
  }
};

std::string header(const response& r, std::string_view name) {
  for (const auto& [key, value] : r.headers)
    if (key == name) return value;
  return "-";
}

struct routes : testing::Test {
  fake_collector source;
  std::vector<std::int64_t> waits;
  bool interrupted = false;
  response get(std::string_view target, std::string_view method = "GET") {
    return route(source, method, target, [this](std::chrono::seconds s) {
      waits.push_back(s.count());
      return !interrupted;
    });
  }
};

}  // namespace

TEST_F(routes, without_time_the_last_answer_or_none) {
  source.with_extras = true;
  for (std::string_view target :
       {"/debug/pprof/goroutine", "/debug/pprof/goroutine?debug=1", "/debug/pprof/goroutineleak?debug=2",
        "/debug/stray/longest", "/debug/pprof/%67oroutine?debug=2"}) {
    SCOPED_TRACE(target);
    source.no_time = false;
    response anew = get(target);
    EXPECT_EQ(header(anew, "Age"), "-");
    source.no_time = true;
    response old = get(target);
    EXPECT_EQ(old.status, 200);
    EXPECT_NE(header(old, "Age"), "-");
    EXPECT_EQ(header(old, "Content-Type"), header(anew, "Content-Type"));
    EXPECT_EQ(header(old, "Content-Disposition"), header(anew, "Content-Disposition"));
    bool binary = target.ends_with("goroutine");
    EXPECT_EQ(old.body.find("# taken: ") != std::string::npos, !binary);
    if (binary) {
      EXPECT_EQ(old.body, anew.body);
    }
    response another = get(std::string(target) + (target.find('?') == target.npos ? "?x=1" : "&x=1"));
    if (target.find("longest") == target.npos) {
      EXPECT_EQ(another.status, 503) << "another question";
    }
  }
}

TEST_F(routes, what_costs_much_asks_for_time) {
  source.with_extras = true;
  source.no_time = true;
  for (std::string_view target :
       {"/debug/pprof/goroutine", "/debug/pprof/goroutine?seconds=1", "/debug/pprof/goroutineleak?debug=3", "/debug/stray/",
        "/debug/stray/?why=1", "/debug/stray/why?id=5", "/debug/stray/longest", "/debug/pprof/symbol?0x1"}) {
    response r = get(target);
    EXPECT_EQ(r.status, 503) << target;
    EXPECT_EQ(header(r, "Retry-After"), "7") << target;
  }
  for (std::string_view target : {"/debug/pprof/", "/debug/pprof/cmdline", "/metrics"})
    EXPECT_EQ(get(target).status, 200) << target;
}

TEST_F(routes, metrics_without_time_are_five_seconds_old_at_most) {
  source.with_extras = true;
  get("/metrics?detect=1");
  source.no_time = true;
  EXPECT_EQ(header(get("/metrics?x=1"), "Age"), "0");
  EXPECT_EQ(source.collections, 1);
  source.last->taken -= std::chrono::seconds(6);
  EXPECT_EQ(header(get("/metrics?detect=1"), "Age"), "-");
  EXPECT_EQ(source.collections, 2);
}

TEST_F(routes, errors_are_printable) {
  source.broken_text = "no \x1b]0;x\x07 memory\n";
  source.broken = true;
  EXPECT_EQ(get("/debug/pprof/goroutineleak").body, "no \\x1b]0;x\\a memory\\n\n");
}

TEST_F(routes, table) {
  constexpr const char *text = "text/plain; charset=utf-8", *html = "text/html; charset=utf-8",
                       *bytes = "application/octet-stream";
  struct {
    const char* target;
    int status;
    const char *type, *pprof, *begin;
  } cases[] = {
      {"/debug/pprof/", 200, html, "-", "<html>\n<head>\n<title>/debug/pprof/</title>\n"},
      {"/debug/pprof", 301, text, "-", ""},
      {"/debug/pprof/goroutineleak", 200, bytes, "-", "\x1f\x8b"},
      {"/debug/pprof/goroutineleak?debug=0", 200, bytes, "-", "\x1f\x8b"},
      {"/debug/pprof/goroutineleak?debug=x", 200, bytes, "-", "\x1f\x8b"},
      {"/debug/pprof/goroutineleak?debug=1", 200, text, "-", "goroutineleak profile: total 6\n6 @ 0x"},
      {"/debug/pprof/goroutineleak?debug=2", 200, text, "-", "goroutine 5 [chan send (leaked)]:\n"},
      {"/debug/pprof/goroutineleak?debug=3", 200, text, "-", "goroutine 5 [chan send (leaked)]:\n"},
      {"/debug/pprof/goroutine", 200, bytes, "-", "\x1f\x8b"},
      {"/debug/pprof/goroutine?debug=1", 200, text, "-", "goroutine profile: total 6\n6 @ 0x"},
      {"/debug/pprof/goroutine?debug=2", 200, text, "-", "goroutine 5 ["},
      {"/debug/pprof/goroutineleak?seconds=2", 200, bytes, "-", "\x1f\x8b"},
      {"/debug/pprof/goroutineleak?seconds=x", 400, text, "1", "invalid value for \"seconds\" - must be a positive integer\n"},
      {"/debug/pprof/goroutineleak?seconds=0", 400, text, "1", "invalid value for \"seconds\" - must be a positive integer\n"},
      {"/debug/pprof/goroutineleak?seconds=-1", 400, text, "1", "invalid value for \"seconds\" - must be a positive integer\n"},
      {"/debug/pprof/goroutineleak?seconds=99999999999999999999", 400, text, "1",
       "invalid value for \"seconds\" - must be a positive integer\n"},
      {"/debug/pprof/goroutineleak?seconds=1&debug=1", 400, text, "1", "seconds and debug params are incompatible\n"},
      {"/debug/pprof/nonsense", 404, text, "1", "Unknown profile\n"},
      {"/debug/pprof/heap?seconds=1", 404, text, "1", "Unknown profile\n"},
      {"/debug/pprof/goroutineleak/", 404, text, "1", "Unknown profile\n"},
      {"/debug/pprof/%67oroutine?debug=1", 200, text, "-", "goroutine profile: total 6\n"},
      {"/debug/pprof/%zz", 400, text, "-", "400 Bad Request\n"},
      {"/debug/pprof/cmdline", 200, text, "-", ""},
      {"/debug/pprof/symbol", 200, text, "-", "num_symbols: 1\n"},
      {"/", 404, text, "-", "404 page not found\n"},
      {"/metrics", 404, text, "-", "404 page not found\n"},
      {"/debug/stray/longest", 404, text, "-", "404 page not found\n"},
      {"/debug/stray/", 404, text, "-", "404 page not found\n"},
      {"", 404, text, "-", "404 page not found\n"},
  };
  for (const auto& c : cases) {
    response r = get(c.target);
    EXPECT_EQ(r.status, c.status) << c.target;
    EXPECT_EQ(header(r, "Content-Type"), c.type) << c.target;
    EXPECT_EQ(header(r, "X-Content-Type-Options"), "nosniff") << c.target;
    EXPECT_EQ(header(r, "Cache-Control"), "no-store") << c.target;
    EXPECT_EQ(header(r, "X-Frame-Options"), "DENY") << c.target;
    EXPECT_EQ(header(r, "X-Go-Pprof"), c.pprof) << c.target;
    EXPECT_TRUE(r.body.starts_with(c.begin)) << c.target << ": " << r.body.substr(0, 100);
    EXPECT_EQ(get(c.target, "HEAD").status, c.status) << c.target;
    bool attached = header(r, "Content-Disposition").starts_with("attachment; filename=\"goroutine");
    EXPECT_EQ(attached, c.type == bytes) << c.target;
  }
}

TEST_F(routes, file_names) {
  EXPECT_EQ(header(get("/debug/pprof/goroutineleak"), "Content-Disposition"), "attachment; filename=\"goroutineleak\"");
  EXPECT_EQ(header(get("/debug/pprof/goroutineleak?seconds=1"), "Content-Disposition"),
            "attachment; filename=\"goroutineleak-delta\"");
  EXPECT_EQ(header(get("/debug/pprof?x=1"), "Location"), "/debug/pprof/?x=1");
}

TEST_F(routes, methods) {
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", ""}) {
    response r = get("/debug/pprof/goroutineleak", method);
    EXPECT_EQ(r.status, 405) << method;
    EXPECT_EQ(r.body, "Method Not Allowed\n");
    EXPECT_EQ(header(r, "Allow"), "GET, HEAD");
  }
  EXPECT_EQ(source.collections, 0);
}

TEST_F(routes, delta_collects_twice_and_caps_the_time) {
  source.growing = 1;
  EXPECT_EQ(get("/debug/pprof/goroutineleak?seconds=7").status, 200);
  EXPECT_EQ(source.collections, 2);
  EXPECT_EQ(waits, std::vector<std::int64_t>{7});
  get("/debug/pprof/goroutine?seconds=1000000");
  EXPECT_EQ(waits.back(), 300);
  interrupted = true;
  int before = source.collections;
  EXPECT_EQ(get("/debug/pprof/goroutine?seconds=1").status, 503);
  EXPECT_EQ(source.collections, before + 1);
}

TEST_F(routes, too_soon_says_when) {
  source.busy = true;
  response r = get("/debug/pprof/goroutineleak?debug=1");
  EXPECT_EQ(r.status, 503);
  EXPECT_EQ(r.body, "not so soon\n");
  EXPECT_EQ(header(r, "Retry-After"), "7");
  EXPECT_EQ(header(r, "X-Go-Pprof"), "1");
}

TEST_F(routes, what_is_old_says_so) {
  EXPECT_EQ(header(get("/debug/pprof/goroutineleak"), "Age"), "-");
  source.taken = std::chrono::system_clock::now() - std::chrono::seconds(12);
  EXPECT_EQ(header(get("/debug/pprof/goroutineleak"), "Age"), "12");
  std::string counts = get("/debug/pprof/goroutineleak?debug=1").body, stacks = get("/debug/pprof/goroutineleak?debug=2").body;
  EXPECT_TRUE(counts.starts_with("goroutineleak profile: total 6\n# taken: 20")) << counts;
  EXPECT_NE(counts.find("Z, 12 s ago\n6 @ 0x"), std::string::npos) << counts;
  EXPECT_TRUE(stacks.starts_with("# taken: 20")) << stacks;
  EXPECT_NE(stacks.find("Z, 12 s ago\n\ngoroutine 5 ["), std::string::npos) << stacks;
}

TEST_F(routes, a_difference_is_never_of_one_detection) {
  get("/debug/pprof/goroutineleak?seconds=1");
  EXPECT_EQ(source.looks, (std::vector<look>{look::new_or_none, look::always_new}));
}

TEST_F(routes, two_wait_at_a_time) {
  int inner = 0;
  std::function<response(int)> nested = [&](int depth) {
    return route(source, "GET", "/debug/pprof/goroutine?seconds=300", [&, depth](std::chrono::seconds) {
      response r = nested(depth + 1);
      if (depth == 1) {
        inner = r.status;
        EXPECT_EQ(r.body, "two other requests with \"seconds\" are waiting: ask again later\n");
        EXPECT_EQ(header(r, "Retry-After"), "10");
        EXPECT_EQ(get("/debug/pprof/goroutine?debug=1").status, 200) << "who does not wait is served";
      }
      return true;
    });
  };
  EXPECT_EQ(nested(0).status, 200);
  EXPECT_EQ(inner, 503);
  EXPECT_EQ(nested(0).status, 200) << "the places are free again";
}

TEST_F(routes, leaked_only) {
  EXPECT_NE(get("/debug/pprof/goroutineleak?debug=2").body.find("goroutine 1 [running]"), std::string::npos);
  EXPECT_EQ(get("/debug/pprof/goroutineleak?debug=2&leaked=1").body.find("goroutine 1 [running]"), std::string::npos);
  EXPECT_NE(get("/debug/pprof/goroutine?debug=2&leaked=1").body.find("goroutine 1 [running]"), std::string::npos);
}

TEST_F(routes, a_failing_collector_is_a_500_with_its_text) {
  source.broken = true;
  response r = get("/debug/pprof/goroutineleak?debug=1");
  EXPECT_EQ(r.status, 500);
  EXPECT_EQ(r.body, "detection was refused: no memory\n");
  EXPECT_EQ(header(r, "X-Go-Pprof"), "1");
  EXPECT_EQ(header(r, "Content-Disposition"), "-");
}

TEST_F(routes, an_incomplete_detection_is_never_silent) {
  const std::string why = "thread 7 (a\nb) blocks signal 34: it could not be stopped";
  source.incomplete = {why, "1 candidate not decided"};
  const std::string lines =
      "# incomplete: thread 7 (a\\nb) blocks signal 34: it could not be stopped\n# incomplete: 1 candidate not decided\n";
  EXPECT_TRUE(
      get("/debug/pprof/goroutineleak?debug=1").body.starts_with("goroutineleak profile: total 6\n" + lines + "6 @ 0x"));
  EXPECT_TRUE(get("/debug/pprof/goroutineleak?debug=2").body.starts_with(lines + "\ngoroutine 5 ["));
  EXPECT_EQ(get("/debug/pprof/goroutineleak").status, 200);
  source.nothing = true;
  for (const char* query : {"", "?debug=1", "?debug=2&leaked=1", "?seconds=1"}) {
    response r = get(std::string("/debug/pprof/goroutineleak") + query);
    EXPECT_EQ(r.status, 503) << query;
    EXPECT_EQ(r.body,
              "goroutineleak profile: the detection is incomplete, and nothing was proven: thread 7 (a\\nb) blocks signal 34: "
              "it could "
              "not be stopped; 1 candidate not decided\n")
        << query;
    EXPECT_EQ(header(r, "X-Go-Pprof"), "1");
    EXPECT_EQ(header(r, "Content-Disposition"), "-");
  }
  EXPECT_EQ(get("/debug/pprof/goroutineleak?debug=2").status, 200);  // the dump is true without the marks
  source.incomplete.clear();
  EXPECT_EQ(get("/debug/pprof/goroutineleak?debug=1").body, "goroutineleak profile: total 0\n");
}

TEST_F(routes, likely_ones_are_not_left_in_silence) {
  source.likely = {"3, not proven: a block\nwithout a name"};
  const std::string line = "# likely: 3, not proven: a block\\nwithout a name\n";
  EXPECT_TRUE(get("/debug/pprof/goroutineleak?debug=1").body.starts_with("goroutineleak profile: total 6\n" + line + "6 @ 0x"));
  EXPECT_TRUE(get("/debug/pprof/goroutineleak?debug=2").body.starts_with(line + "\ngoroutine 5 ["));
  source.nothing = true;
  response r = get("/debug/pprof/goroutineleak?debug=1");
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.body, "goroutineleak profile: total 0\n" + line);
}

TEST_F(routes, index_says_when_leaks_were_counted) {
  std::string page = get("/debug/pprof/").body;
  EXPECT_NE(page.find("<tr><td>19</td><td><a href='goroutine?debug=1'>goroutine</a></td></tr>\n"), std::string::npos) << page;
  EXPECT_NE(page.find("<tr><td>0</td><td><a href='goroutineleak?debug=1'>goroutineleak</a> (not yet taken"), std::string::npos)
      << page;
  source.leaks = {11, 1700000000, false};
  page = get("/debug/pprof/").body;
  EXPECT_NE(
      page.find(
          "<tr><td>11</td><td><a href='goroutineleak?debug=1'>goroutineleak</a> (taken 2023-11-14T22:13:20Z)</td></tr>\n"),
      std::string::npos)
      << page;
  source.leaks.complete = false;
  EXPECT_NE(get("/debug/pprof/").body.find("(taken 2023-11-14T22:13:20Z; incomplete: there may be more"), std::string::npos);
  EXPECT_EQ(source.collections, 0);
}

TEST_F(routes, extras_are_served_when_provided) {
  source.with_extras = true;
  EXPECT_EQ(get("/debug/pprof/goroutineleak?debug=3").body, "because\n");
  EXPECT_EQ(get("/metrics").body, "stray_goroutines 1\n");
  EXPECT_EQ(source.collections, 0) << "a scrape runs no detection";
  EXPECT_EQ(get("/metrics?detect=1").body, "stray_goroutines 1\n");
  EXPECT_EQ(source.collections, 1);
  EXPECT_EQ(get("/debug/stray/longest").body, "count\n");
  EXPECT_EQ(source.collections, 1) << "nor does who asks for the longest waits";
  EXPECT_EQ(get("/debug/stray/why?id=17").body, "of 17\n");
  for (const char* wrong : {"/debug/stray/why", "/debug/stray/why?id=0", "/debug/stray/why?id=-3", "/debug/stray/why?id=x"}) {
    EXPECT_EQ(get(wrong).status, 400) << wrong;
    EXPECT_EQ(get(wrong).body, "id must be the number of a goroutine: /debug/stray/why?id=5\n") << wrong;
  }
}

TEST_F(routes, cmdline_and_symbol) {
  std::string body = get("/debug/pprof/cmdline").body;
  EXPECT_NE(body.find("unit_serve"), std::string::npos);
  EXPECT_FALSE(body.ends_with('\0'));
  char query[100];
  std::snprintf(query, sizeof query, "/debug/pprof/symbol?%p+0x1+nonsense+%#zx", reinterpret_cast<void*>(&code),
                reinterpret_cast<std::size_t>(&code) + 2);
  body = get(query).body;
  char expected[200];
  std::snprintf(expected, sizeof expected, "num_symbols: 1\n%p (anonymous namespace)::code\n%#zx (anonymous namespace)::code\n",
                reinterpret_cast<void*>(&code), reinterpret_cast<std::size_t>(&code) + 2);
  EXPECT_EQ(body, expected);
}

TEST_F(routes, symbols_asked_for_take_no_memory) {
  auto ask = [&](std::size_t first) {
    std::string target = "/debug/pprof/symbol?";
    for (std::size_t i = 0; i < 1000; i++) target += std::to_string(0x10000 + first + i) + "+";
    get(target);
  };
  ask(0);
  std::size_t before = mallinfo2().uordblks;
  for (std::size_t round = 1; round <= 20; round++) ask(round * 1000);
  EXPECT_LT(mallinfo2().uordblks, before + (std::size_t{200} << 10)) << "20,000 addresses; a line of each would be 4 MB";
}

TEST(query, reads_as_go_does) {
  query q("debug=1&debug=2&a%41=%20x+y&flag&bad=%z&semi=1;2&=v&&");
  EXPECT_EQ(q.number("debug"), 1);
  EXPECT_EQ(q.get("aA"), " x y");
  EXPECT_EQ(q.get("flag"), "");
  EXPECT_EQ(q.get("bad"), "");
  EXPECT_EQ(q.get("semi"), "");
  EXPECT_EQ(whole_number("+5"), 5);
  EXPECT_EQ(whole_number("5x"), std::nullopt);
  EXPECT_EQ(whole_number(""), std::nullopt);
}

TEST(delta, only_growth_remains) {
  profile::sample a, b, c;
  a.pcs = {1}, a.count = 3, a.bytes = 100;
  b.pcs = {2}, b.count = 5;
  c.pcs = {1}, c.labels = {{"k", "v"}}, c.count = 1;
  auto later = a;
  later.count = 4, later.bytes = 150;
  auto grown = growth({a, b}, {later, b, c});
  ASSERT_EQ(grown.size(), 2U);
  EXPECT_EQ(grown[0].count, 1);
  EXPECT_EQ(grown[0].bytes, 50);
  EXPECT_EQ(grown[1].labels.size(), 1U);
}
