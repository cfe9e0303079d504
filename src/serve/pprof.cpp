// stray::pprof: the routes over the detector, to sockets, streams and a user's own server.
#include <stray/pprof.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <ostream>
#include <pthread.h>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <unistd.h>

#include <stray/chan.hpp>
#include <stray/go.hpp>
#include "base/clock.h"
#include "base/format.h"
#include "base/stale_words.h"
#include "base/zeroed.h"
#include "leak/detect/detector.h"
#include "leak/goroutines/dump.h"
#include "leak/model/findings.h"
#include "leak/report/history.h"
#include "leak/report/make_report.h"
#include "profile/formats.h"
#include "profile/symbolize.h"
#include "runtime/labels.h"
#include "runtime/park.h"
#include "runtime/service_thread.h"
#include "runtime/started.h"
#include "serve/budget.h"
#include "serve/http.h"
#include "serve/kept_answers.h"
#include "serve/longest.h"
#include "serve/metrics.h"
#include "serve/page.h"
#include "serve/places.h"
#include "serve/routes.h"
#include "serve/source_file.h"

namespace stray::pprof {

namespace {

constinit serve::kept_answers last_answers;

class live_collector final : public serve::collector {
 public:
  live_collector() noexcept = default;  // for the program itself: a new detection, whatever the budget
  // For a request, sent then.
  explicit live_collector(std::int64_t sent_ns)
      : sent_ns_(sent_ns), budget_(&serve::budget::from_environment()), paid_cpu_ns_(spent_ns()) {}

  void ask_for_time() override {
    if (budget_ == nullptr) return;
    if (!budget_->allows(base::now_ns())) refuse();
    last_answers.forget();
  }
  void keep(std::string_view question, const serve::response& r) override {
    pay_for_thread();
    if (budget_ != nullptr && !budget_->allows(base::now_ns()))
      last_answers.keep(question, r, std::chrono::system_clock::now());
  }
  std::optional<kept_answer> kept(std::string_view question) override {
    if (budget_ == nullptr || budget_->allows(base::now_ns())) return std::nullopt;
    return last_answers.find(question);
  }
  // What this thread has done since the last time, or since it has begun.
  void pay_for_thread() {
    const std::int64_t now = spent_ns();
    pay(now - std::exchange(paid_cpu_ns_, now));
  }

  profile::collection<profile::sample> samples(std::string_view profile, serve::look how) override {
    profile::collection<profile::sample> out;
    std::shared_ptr<const leak::findings> found = detect_for(profile, how);
    on_detector([&] {
      out.list = found != nullptr ? leak::leak_samples(*found) : leak::goroutine_samples();
      remark(found, out);
      found.reset();
    });
    return out;
  }
  profile::collection<profile::stack_entry> stacks(std::string_view profile, bool leaked_only) override {
    std::shared_ptr<const leak::findings> found = detect_for(profile);
    profile::collection<profile::stack_entry> out{leak::all_stacks(found.get(), found != nullptr && leaked_only), {}};
    on_detector([&] {
      remark(found, out);
      found.reset();
    });
    return out;
  }
  tally count(std::string_view profile) override {
    if (profile != "goroutineleak") return {num_goroutine(), 0, true};
    leak::history past = leak::so_far();
    if (past.runs == 0) return {};
    auto taken = std::chrono::duration_cast<std::chrono::seconds>(past.taken.time_since_epoch());
    return {past.leaked(), taken.count(), false, past.complete};
  }
  std::optional<std::string> explain() override {
    std::shared_ptr<const leak::findings> found = detect();
    std::string text;
    on_detector([&] {
      std::ostringstream out;
      out << leak::make_report(*found, {.min_tier = leak::tier::likely});
      text = std::move(out).str();
      found.reset();
    });
    return text;
  }
  std::optional<std::string> metrics(bool wanted) override {
    if (wanted) look_again();
    serve::measures m{leak::goroutines_by_state(), leak::so_far(), runtime::wrong_verdicts(), {}};
    std::string text;
    with_longest(serve::most_longest_series, m.longest, [&] {
      text = serve::write_metrics(m);
      m = {};
    });
    return text;
  }
  std::optional<std::string> longest() override {
    std::vector<leak::longest_row> rows;
    std::string text;
    with_longest(serve::most_longest_lines, rows, [&] {
      text = serve::write_longest(rows);
      rows = {};
    });
    return text;
  }
  std::optional<std::string> why(std::uint64_t goroutine) override {
    static constinit serve::places asking{0};
    serve::place mine(asking, 1);
    if (!mine) throw serve::too_soon("somebody else's question is being answered: ask again later", std::chrono::seconds(1));
    const std::int64_t began = base::now_ns();
    if (!budget_->allows(began)) refuse();
    std::string text = leak::why(goroutine);
    pay(base::now_ns() - began);
    return text;
  }
  std::optional<std::chrono::system_clock::time_point> taken_before() override { return taken_before_; }
  std::optional<std::string> page(std::uint64_t why) override {
    serve::page_content c;
    c.program = program_invocation_short_name;
    c.pid = getpid();
    c.asked = why;
    try {
      if (why != 0) c.answer = *this->why(why);
    } catch (const serve::too_soon& e) {
      c.answer = base::format("not answered: {}\n", e.what());
    }
    c.found = detect();
    c.all = leak::all_stacks(c.found.get(), false);
    c.past = leak::so_far();
    serve::written_page page;
    on_detector([&] {
      c.longest = leak::blocked_longest(serve::most_longest_rows);
      c.report = leak::make_report(*c.found, {.min_tier = leak::tier::likely});
      page = serve::write_page(c);
      c = {};
    });
    return serve::with_excerpts(page.text, page.excerpts);
  }

 private:
  std::shared_ptr<const leak::findings> detect(serve::look how = serve::look::may_be_old) {
    if (budget_ == nullptr) return leak::detect();
    if (how != serve::look::always_new && !budget_->allows(base::now_ns())) {
      std::shared_ptr<const leak::findings> kept = how == serve::look::may_be_old ? leak::kept_detection() : nullptr;
      if (kept == nullptr) refuse();
      taken_before_ = kept->taken;
      return kept;
    }
    // Of several for one request only the first may have begun before it is wanted.
    std::shared_ptr<const leak::findings> found = leak::detect_since(std::exchange(sent_ns_, leak::asks_now));
    static std::atomic<std::uint64_t> paid{0};  // of those who share one, one pays
    if (paid.exchange(found->generation) != found->generation) pay(found->elapsed.count());
    return found;
  }
  std::shared_ptr<const leak::findings> detect_for(std::string_view profile, serve::look how = serve::look::may_be_old) {
    return profile == "goroutineleak" ? detect(how) : nullptr;
  }
  // For /metrics, which has its numbers from the history.
  void look_again() {
    if (budget_->allows(base::now_ns())) {
      detect();
    } else if (leak::history past = leak::so_far(); past.runs != 0) {
      taken_before_ = past.taken;
    }
  }
  void pay(std::int64_t took_ns) {
    if (budget_ == nullptr) return;
    budget_->pay(base::now_ns(), took_ns);
    leak::keep_detection_until(budget_->next_ns());
  }
  [[noreturn]] void refuse() {
    auto left = std::chrono::ceil<std::chrono::seconds>(std::chrono::nanoseconds(budget_->next_ns() - base::now_ns()));
    left = std::max(left, std::chrono::seconds(1));
    throw serve::too_soon(base::format("the budget of requests is used up: ask again in {} s "
                                       "(STRAY_PPROF_BUDGET)",
                                       left.count()),
                          left);
  }
  // By the calling thread. What is learnt of the program's symbols is free: it is done once, and no request can make it more.
  static std::int64_t spent_ns() noexcept { return base::thread_cpu_ns() - profile::time_spent_learning_ns(); }
  template <class Job>
  void on_detector(Job job) {
    std::int64_t took_ns = 0;
    leak::on_detector([&] {
      const std::int64_t began = spent_ns();
      job();
      took_ns = spent_ns() - began;
    });
    pay(took_ns);
  }
  // Before anything was started nobody waits.
  template <class Write>
  void with_longest(std::size_t most, std::vector<leak::longest_row>& rows, Write write) {
    if (!runtime::started()) return write();
    on_detector([&] {
      rows = leak::blocked_longest(most);
      write();
    });
  }
  template <class T>
  static void remark(const std::shared_ptr<const leak::findings>& found, profile::collection<T>& out) {
    if (found == nullptr) return;
    if (!found->complete) out.incomplete = found->notes;
    out.likely = leak::likely_lines(*found);
  }

  std::int64_t sent_ns_ = leak::asks_now;
  serve::budget* budget_ = nullptr;  // of requests
  std::int64_t paid_cpu_ns_ = 0;     // of this thread's time
  std::optional<std::chrono::system_clock::time_point> taken_before_;
};

bool wait_here(std::chrono::seconds time) {
  std::this_thread::sleep_for(time);
  return true;
}

}  // namespace

struct server::state : base::zeroed {
  explicit state(const std::string& address)
      : http(
            address,
            [](const serve::request& r) {
              live_collector collector(r.sent_ns);
              serve::response answer = serve::route(collector, r.method, r.target, r.wait);
              collector.pay_for_thread();
              return answer;
            },
            &serve::budget::from_environment()) {
    serve::budget::
        from_environment();  // what is wrong with a setting is said at once, and nobody changes the environment meanwhile
    serve::sources_are_shown();
  }
  serve::http_server http;
};

server::server(std::unique_ptr<state> s) noexcept : state_(std::move(s)) {}
server::server(server&&) noexcept = default;
server& server::operator=(server&&) noexcept = default;
server::~server() = default;
int server::port() const noexcept { return state_ != nullptr ? state_->http.port() : 0; }
void server::detach() noexcept { state_.release(); }

label_scope::label_scope(std::initializer_list<std::pair<std::string_view, std::string_view>> set)
    : before_(runtime::push_labels({set.begin(), set.size()})) {}
label_scope::~label_scope() { runtime::restore_labels(static_cast<runtime::label_list*>(before_)); }

server serve(const std::string& address) { return server(std::make_unique<server::state>(address)); }

namespace {

[[gnu::noinline]] void write_now(std::string_view name, std::ostream& out, int debug) {
  bool leaks = name == "goroutineleak";
  if (!leaks && name != "goroutine")
    throw std::invalid_argument("stray::pprof::write: unknown profile; there are goroutineleak and goroutine");
  if (debug < 0 || debug > 2)
    throw std::invalid_argument("stray::pprof::write: debug is 0 (protobuf), 1 (counts) or 2 (stacks)");
  live_collector collector;
  profile::collection<profile::stack_entry> stacks;
  profile::collection<profile::sample> samples;
  if (debug == 2) {
    stacks = collector.stacks(name, false);
  } else {
    samples = collector.samples(name, serve::look::always_new);
  }
  std::string bytes;
  leak::on_detector([&] {
    bytes = debug == 2   ? profile::write_stacks(stacks.list, stacks.incomplete, stacks.likely)
            : debug == 1 ? profile::write_counts(name, samples.list, samples.incomplete, samples.likely)
                         : profile::write_proto(name, samples.list, leaks, 0, samples.incomplete, samples.likely);
    stacks = {};
    samples = {};
  });
  out << bytes;
}

struct handling {
  std::string_view method, target;
  bool joined;  // else it sends to `ready`
  chan<void> ready;
  response answer;
};

void* handle_body(void* arg) {
  auto& h = *static_cast<handling*>(arg);
  bool joined = h.joined;
  chan<void> ready = h.ready;
  {
    live_collector collector(base::now_ns());
    serve::response r = serve::route(collector, h.method, h.target, wait_here);
    collector.pay_for_thread();
    h.answer = {r.status, std::move(r.headers), std::move(r.body)};
  }
  if (!joined) ready.send();
  return nullptr;
}

// On a thread of its own: the writers want more stack than a goroutine has, the collector blocks, and what they free must not be the
// caller's next blocks (on_detector).
[[gnu::noinline]] response handle_now(std::string_view method, std::string_view target) {
  handling h{method, target, goroutine_id() == 0, {}, {}};
  if (!h.joined) h.ready = make_chan<void>();
  pthread_t thread;
  try {
    thread = runtime::start_thread("stray-handle", handle_body, &h);
  } catch (const std::system_error& e) {
    return {500, {{"Content-Type", "text/plain; charset=utf-8"}}, std::string(e.what()) + "\n"};
  }
  if (h.joined) {
    pthread_join(thread, nullptr);
  } else {
    pthread_detach(thread);
    h.ready.recv();
  }
  return std::move(h.answer);
}

}  // namespace

void write(std::string_view name, std::ostream& out, int debug) {
  base::clear_stack_below();
  write_now(name, out, debug);
}

response handle(std::string_view method, std::string_view target) {
  base::clear_stack_below();
  return handle_now(method, target);
}

}  // namespace stray::pprof
