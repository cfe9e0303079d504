// stray::pprof: the routes over the detector, to sockets, streams and a user's own server.
#include <stray/pprof.hpp>

#include <cerrno>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <unistd.h>

#include <stray/chan.hpp>
#include <stray/go.hpp>
#include "base/stale_words.h"
#include "leak/findings.h"
#include "leak/history.h"
#include "profile/formats.h"
#include "runtime/labels.h"
#include "runtime/park.h"
#include "serve/http.h"
#include "serve/metrics.h"
#include "serve/page.h"
#include "serve/routes.h"

namespace stray::pprof {

namespace {

class live_collector final : public serve::collector {
 public:
  profile::collection<profile::sample> samples(std::string_view profile) override {
    profile::collection<profile::sample> out;
    std::shared_ptr<const leak::findings> found = profile == "goroutineleak" ? leak::detect() : nullptr;
    leak::on_detector([&] { out.list = found != nullptr ? leak::leak_samples(*found) : leak::goroutine_samples(); });
    out.incomplete = reasons(found);
    return out;
  }
  profile::collection<profile::stack_entry> stacks(std::string_view profile, bool leaked_only) override {
    std::shared_ptr<const leak::findings> found = profile == "goroutineleak" ? leak::detect() : nullptr;
    return {leak::all_stacks(found.get(), found != nullptr && leaked_only), reasons(found)};
  }
  tally count(std::string_view profile) override {
    if (profile != "goroutineleak") return {num_goroutine(), 0, true};
    leak::history past = leak::so_far();
    if (past.runs == 0) return {};
    auto taken = std::chrono::duration_cast<std::chrono::seconds>(past.taken.time_since_epoch());
    return {past.leaked(), taken.count(), false, past.complete};
  }
  std::optional<std::string> explain() override {
    std::ostringstream text;
    text << leak::find({.min_tier = leak::tier::likely});
    return std::move(text).str();
  }
  std::optional<std::string> metrics(bool detect) override {
    if (detect) leak::detect();
    return serve::write_metrics({leak::goroutines_by_state(), leak::so_far(), runtime::wrong_verdicts()});
  }
  std::optional<std::string> why(std::uint64_t goroutine) override { return leak::why(goroutine); }
  std::optional<std::string> page(std::uint64_t why) override {
    serve::page_content c;
    c.program = program_invocation_short_name;
    c.pid = getpid();
    c.asked = why;
    if (why != 0) c.answer = leak::why(why);
    c.found = leak::detect();
    c.all = leak::all_stacks(c.found.get(), false);
    c.past = leak::so_far();
    std::string text;
    leak::on_detector([&] {
      c.report = leak::make_report(*c.found, {.min_tier = leak::tier::likely});
      text = serve::write_page(c);
    });
    return text;
  }

 private:
  static std::vector<std::string> reasons(const std::shared_ptr<const leak::findings>& found) {
    return found == nullptr || found->complete ? std::vector<std::string>() : found->notes;
  }
};
live_collector the_collector;

bool wait_here(std::chrono::seconds time) {
  std::this_thread::sleep_for(time);
  return true;
}

}  // namespace

struct server::state {
  explicit state(const std::string& address)
      : http(address, [](const serve::request& r) { return serve::route(the_collector, r.method, r.target, r.wait); }) {}
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
  profile::collection<profile::stack_entry> stacks;
  profile::collection<profile::sample> samples;
  if (debug == 2) {
    stacks = the_collector.stacks(name, false);
  } else {
    samples = the_collector.samples(name);
  }
  std::string bytes;
  leak::on_detector([&] {
    bytes = debug == 2   ? profile::write_stacks(stacks.list, stacks.incomplete)
            : debug == 1 ? profile::write_counts(name, samples.list, samples.incomplete)
                         : profile::write_proto(name, samples.list, leaks, 0, samples.incomplete);
    stacks = {};
    samples = {};
  });
  out << bytes;
}

[[gnu::noinline]] response handle_now(std::string_view method, std::string_view target) {
  if (goroutine_id() != 0) {  // the writers want more stack than a goroutine has, and the collector blocks: a thread of its own
    response answer;
    auto ready = make_chan<void>();
    std::thread([&answer, ready, m = std::string(method), t = std::string(target)] {
      answer = handle_now(m, t);
      ready.send();
    }).detach();
    ready.recv();
    return answer;
  }
  serve::response r = serve::route(the_collector, method, target, wait_here);
  return {r.status, std::move(r.headers), std::move(r.body)};
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
