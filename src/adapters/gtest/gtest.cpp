// 1. Who started a leak is read off its labels, never off the time at which it is found: runs of tests and of suites are numbered, the number
//    is a label, and goroutines inherit it. Number 0: none.
// 2. A leak is said once: by its own test if it is proven by then, else at the end of the program's tests, where it fails the whole.
// 3. Nothing but the number of goroutines is asked for tests without any at their end.
// 4. What the check remembers of tests has no gaps: they would hold what a test left in the same block, and hide its leaks.
// 5. What the test's frames left on the stack lies below those of its end: these are small, and find clears what is below them.
#include <stray/testing/gtest.hpp>

#include <atomic>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fnmatch.h>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <stray/chan.hpp>
#include <stray/go.hpp>
#include <stray/pprof.hpp>
#include <stray/testing/control.hpp>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRAY_TESTING_BLIND 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define STRAY_TESTING_BLIND 1
#endif
#endif
#ifndef STRAY_TESTING_BLIND
#define STRAY_TESTING_BLIND 0
#endif

namespace stray::testing {

namespace {

// Known leaks that fail no test until a day.
struct allowed_leak {
  std::string until;  // YYYY-MM-DD, the last day
  std::string pattern;
  std::string reason;
  int line = 0;
  bool used = false;
};

class allow_list {
 public:
  allow_list() = default;
  // Throws std::invalid_argument: FILE:LINE, what is wrong, what a line looks like.
  explicit allow_list(const std::string& file);

  // The entry for this leak, marked as used; one that is over only if no other is there. nullptr: none.
  allowed_leak* find(const leak::group& g);
  // "known.txt:3 (reason)".
  std::string place(const allowed_leak& a) const;

  std::vector<allowed_leak> entries;

 private:
  std::string file_;
};

std::string_view trimmed(std::string_view s) {
  auto from = s.find_first_not_of(" \t\r");
  if (from == s.npos) return {};
  return s.substr(from, s.find_last_not_of(" \t\r") + 1 - from);
}

bool is_day(std::string_view s) {
  if (s.size() != 10) return false;
  for (std::size_t i = 0; i < s.size(); i++)
    if (i == 4 || i == 7 ? s[i] != '-' : std::isdigit(static_cast<unsigned char>(s[i])) == 0) return false;
  int month = (s[5] - '0') * 10 + (s[6] - '0'), day = (s[8] - '0') * 10 + (s[9] - '0');
  return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

bool matches(const std::string& pattern, const std::string& function) {
  return !function.empty() && fnmatch(pattern.c_str(), function.c_str(), FNM_NOESCAPE) == 0;
}

bool matches(const std::string& pattern, const leak::group& g) {
  for (const leak::frame& f : g.stack)
    if (matches(pattern, f.function)) return true;
  for (const leak::frame& f : g.called_by)
    if (matches(pattern, f.function)) return true;
  return matches(pattern, g.created_by.function);
}

// One line of the file; nullopt: nothing in it. Throws std::invalid_argument with what is wrong.
std::optional<allowed_leak> read_allowed(std::string_view line) {
  line = trimmed(line);
  if (line.empty() || line[0] == '#') return std::nullopt;
  std::size_t space = line.find_first_of(" \t");
  allowed_leak a;
  a.until = line.substr(0, space);
  if (!is_day(a.until)) throw std::invalid_argument("\"" + a.until + "\" is no day");
  std::string_view rest = space == line.npos ? std::string_view() : line.substr(space);
  std::size_t mark = rest.find(" #");
  a.pattern = trimmed(rest.substr(0, mark));
  if (a.pattern.empty()) throw std::invalid_argument("there is no function");
  if (mark != rest.npos) a.reason = trimmed(rest.substr(mark + 2));
  if (a.reason.empty()) throw std::invalid_argument("there is no reason");
  return a;
}

bool is_over(const allowed_leak& a, std::string_view day) { return a.until < day; }

std::string today() {  // UTC
  std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
  return text;
}

allow_list::allow_list(const std::string& file) : file_(file) {
  std::ifstream in(file);
  if (!in) throw std::invalid_argument("stray: the list of allowed leaks " + file + " cannot be read");
  std::string text;
  for (int line = 1; std::getline(in, text); line++) try {
      if (std::optional<allowed_leak> a = read_allowed(text)) {
        a->line = line;
        entries.push_back(*std::move(a));
      }
    } catch (const std::invalid_argument& wrong) {
      throw std::invalid_argument("stray: " + file + ":" + std::to_string(line) + ": " + wrong.what() +
                                  "; a line is: YYYY-MM-DD  FUNCTION  # reason");
    }
}

allowed_leak* allow_list::find(const leak::group& g) {
  allowed_leak* over = nullptr;
  std::string day = today();
  for (allowed_leak& a : entries) {
    if (!matches(a.pattern, g)) continue;
    a.used = true;
    if (!is_over(a, day)) return &a;
    over = &a;
  }
  return over;
}

std::string allow_list::place(const allowed_leak& a) const {
  return file_ + ":" + std::to_string(a.line) + " (" + a.reason + ")";
}

constexpr const char* control = "control";

std::string label_of(const leak::goroutine& g, std::string_view key) {
  for (const auto& [k, value] : g.labels)
    if (k == key) return value;
  return {};
}

// Of a goroutine that the control started, or a test of another program's making: 0, too.
std::size_t run_of(const leak::goroutine& g) {
  std::string text = label_of(g, "gtest.run");
  return text.empty() || text.find_first_not_of("0123456789") != text.npos ? 0 : std::stoul(text);
}

bool is_control(const leak::goroutine& g) { return label_of(g, "gtest.run") == control; }

class leak_check {
 public:
  // One, for the whole program.
  static leak_check& get() {
    alignas(leak_check) static char room[sizeof(leak_check)];  // zeroed
    static auto* it = new (room) leak_check;                   // never destroyed: goroutines may ask until the end
    return *it;
  }

  void install(const leak_check_options& o) {
    allow_list known = o.allow_file.empty() ? allow_list() : allow_list(o.allow_file);
    std::lock_guard guard(lock_);
    options_ = o;
    known_ = std::move(known);
    installed_ = true;
  }

  // A failure names what the run has leaked and not said yet.
  ::testing::AssertionResult verdict(const leak::report& r, std::size_t run) {
    std::lock_guard guard(lock_);
    leak::report fresh = r.only([&](const leak::group& g, const leak::goroutine& one) {
      return run_of(one) == run && !is_control(one) && !is_allowed(g) && said_.insert(one.identity()).second;
    });
    if (fresh.total() == 0) return ::testing::AssertionSuccess();
    std::ostringstream text;
    text << fresh.total() << (fresh.total() == 1 ? " goroutine that " : " goroutines that ") << places_[run].name()
         << " started can never wake again:\n";
    describe(text, fresh);
    return ::testing::AssertionFailure() << text.str();
  }

  std::size_t run() const { return run_.load(); }

  void begin_suite(const ::testing::TestSuite& s) { suite_ = begin({&s, s.GetTestInfo(0)}); }
  void begin_test(const ::testing::TestInfo& t) { test_ = begin({nullptr, &t}); }
  void end_suite() { end(suite_); }
  void end_test() { end(test_); }

  // What the running test, or suite, has leaked.
  void check_run() {
    if (!installed_ || num_goroutine() == 0 || !can_see()) return;
    auto r = std::make_unique<leak::report>(look());
    report_run(*r);
  }

  // What the others have leaked meanwhile.
  void check_rest() {
    if (!installed_) return;
    if (num_goroutine() != 0 && can_see()) {
      auto r = std::make_unique<leak::report>(look());
      for (std::size_t run = 0; run < places_.size(); run++) report_late(*r, run);
    }
    const ::testing::UnitTest& all = *::testing::UnitTest::GetInstance();
    if (all.test_to_run_count() != all.total_test_count()) return;
    for (const allowed_leak& a : known_.entries)
      if (!a.used) std::printf("stray: %s allows a leak that did not happen: drop the line\n", known_.place(a).c_str());
  }

  // Once: whether a leak that is there is found. Empty: it is; else why not.
  std::string blindness() {
    std::lock_guard guard(control_lock_);
    if (!control_done_) {
      control_done_ = true;
      blindness_ =
          STRAY_TESTING_BLIND ? "the program is built with a sanitizer, whose heap the detector cannot read" : try_control();
    }
    return blindness_;
  }

  [[gnu::noinline]] leak::report look() {
    until_settled(options_.settle);
    leak::options o;
    o.min_tier = options_.min_tier;
    return leak::find(o);
  }

 private:
  struct place {
    const ::testing::TestSuite* suite = nullptr;
    const ::testing::TestInfo* test = nullptr;  // with a suite: its first

    std::string name() const {
      if (suite != nullptr) return suite->name();
      return test != nullptr ? std::string(test->test_suite_name()) + "." + test->name() : "no test";
    }
    const char* file() const { return test != nullptr ? test->file() : nullptr; }
    int line() const { return test != nullptr ? test->line() : -1; }
  };
  struct running {
    std::size_t before;
    pprof::label_scope labels;
  };

  leak_check() = default;

  std::unique_ptr<running> begin(const place& p) {
    std::size_t run;
    {
      std::lock_guard guard(lock_);
      run = places_.size();
      places_[run] = p;
    }
    return std::unique_ptr<running>(
        new running{run_.exchange(run), pprof::label_scope{{"gtest.test", p.name()}, {"gtest.run", std::to_string(run)}}});
  }
  void end(std::unique_ptr<running>& r) {
    run_ = r->before;
    r.reset();
  }

  [[gnu::noinline]] void report_run(const leak::report& r) {
    ::testing::AssertionResult result = verdict(r, run());
    const place& at = places_[run()];
    if (!result) ADD_FAILURE_AT(at.file(), at.line()) << result.message();
  }

  [[gnu::noinline]] void report_late(const leak::report& r, std::size_t run) {
    ::testing::AssertionResult result = verdict(r, run);
    if (result) return;
    ADD_FAILURE_AT(places_[run].file(), places_[run].line())
        << "At the end of all tests: " << result.message()
        << (run == 0 ? "What an OS thread of a test starts inherits no labels."
                     : "That was not so yet at the end of this test.");
  }

  bool can_see() {
    std::string why_not = blindness();
    if (why_not.empty()) return true;
    if (!std::exchange(blindness_said_, true)) {
      if (STRAY_TESTING_BLIND || options_.allow_blind)
        std::fprintf(stderr, "stray: leaks are not checked: %s\n", why_not.c_str());
      else
        ADD_FAILURE() << "A leak that was planted as a control was not found, so leaks of tests would not be found either: "
                      << why_not << "\n(leak_check_options::allow_blind lets the tests run without the check)";
    }
    return false;
  }

  bool is_allowed(const leak::group& g) {
    allowed_leak* a = known_.find(g);
    return a != nullptr && !is_over(*a, today());
  }

  void describe(std::ostream& out, const leak::report& fresh) {
    for (const leak::group& g : fresh.groups()) {
      out << g;
      if (allowed_leak* a = known_.find(g)) out << "    was allowed until " << a->until << " by " << known_.place(*a) << "\n";
    }
  }

  // Channels in heap blocks, so that they are found only if the heap can be read; several, since a stale word may hide one.
  [[gnu::noinline]] static void plant() {
    pprof::label_scope labels{{"gtest.run", control}};
    for (int i = 0; i < 8; i++) go([nobody = std::make_shared<chan<void>>(make_chan<void>())] { nobody->recv(); });
  }

  static std::string try_control() {
    using std::chrono::steady_clock;
    plant();
    for (auto end = steady_clock::now() + std::chrono::seconds(2);;) {
      leak::options o;
      o.min_tier = leak::tier::likely;
      leak::report all = leak::find(o);
      leak::report mine = all.only([](const leak::group&, const leak::goroutine& g) { return is_control(g); });
      for (const leak::group& g : mine.groups())
        if (g.tier >= leak::tier::cycle) {
          leak::reclaim(mine);
          return {};
        }
      if (steady_clock::now() >= end) {
        if (mine.total() != 0) return mine.groups()[0].cause;
        return all.notes().empty() ? "it was not found within 2 s" : all.notes()[0];
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  std::mutex lock_;  // options_, known_, said_, places_
  leak_check_options options_;
  allow_list known_;
  std::set<wait_id> said_;
  std::map<std::size_t, place> places_{{0, place()}};  // by number of the run
  std::atomic<bool> installed_{false};
  std::atomic<std::size_t> run_{0};
  std::unique_ptr<running> suite_, test_;  // the thread of RUN_ALL_TESTS
  std::mutex control_lock_;                // the next two
  bool control_done_ = false;
  std::string blindness_;
  bool blindness_said_ = false;  // the thread of RUN_ALL_TESTS
};

class listener final : public ::testing::EmptyTestEventListener {
  void OnTestSuiteStart(const ::testing::TestSuite& s) override { leak_check::get().begin_suite(s); }
  void OnTestStart(const ::testing::TestInfo& t) override { leak_check::get().begin_test(t); }
  void OnTestEnd(const ::testing::TestInfo&) override {
    leak_check::get().check_run();
    leak_check::get().end_test();
  }
  void OnTestSuiteEnd(const ::testing::TestSuite&) override {
    leak_check::get().check_run();
    leak_check::get().end_suite();
  }
  void OnEnvironmentsTearDownEnd(const ::testing::UnitTest&) override { leak_check::get().check_rest(); }
};

}  // namespace

namespace detail {
bool label_tests() {
  ::testing::UnitTest::GetInstance()->listeners().Append(new listener);  // GoogleTest deletes it
  return true;
}
}  // namespace detail

void install_leak_check(const leak_check_options& o) { leak_check::get().install(o); }

::testing::AssertionResult no_leaks() {
  leak_check& check = leak_check::get();
  std::string why_not = check.blindness();
  if (!why_not.empty()) {
    if (STRAY_TESTING_BLIND) return ::testing::AssertionSuccess() << "not checked: " << why_not;
    return ::testing::AssertionFailure() << "leaks cannot be seen here: " << why_not;
  }
  auto r = std::make_unique<leak::report>(check.look());
  return check.verdict(*r, check.run());
}

}  // namespace stray::testing
