// stray::pprof: the routes over the detector, to sockets, streams and a user's own server.
#include <stray/pprof.hpp>

#include <ostream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <stray/chan.hpp>
#include <stray/go.hpp>
#include "leak/findings.h"
#include "profile/formats.h"
#include "serve/http.h"
#include "serve/routes.h"

namespace stray::pprof {

namespace {

class live_collector final : public serve::collector {
 public:
  std::vector<profile::sample> samples(std::string_view profile) override {
    return samples_of(profile == "goroutineleak" ? leak::detect() : nullptr);
  }
  std::vector<profile::stack_entry> stacks(std::string_view profile, bool leaked_only) override {
    if (profile != "goroutineleak") return leak::all_stacks(nullptr, false);
    return leak::all_stacks(leak::detect().get(), leaked_only);
  }
  tally count(std::string_view profile) override {
    if (profile != "goroutineleak") return {num_goroutine(), 0, true};
    std::size_t leaked = 0;
    std::chrono::system_clock::time_point taken;
    if (!leak::last_count(leaked, taken)) return {};
    return {leaked, std::chrono::duration_cast<std::chrono::seconds>(taken.time_since_epoch()).count(), false};
  }
  std::optional<std::string> explain() override {
    std::ostringstream text;
    text << leak::find({.min_tier = leak::tier::likely});
    return std::move(text).str();
  }

 private:
  static std::vector<profile::sample> samples_of(const std::shared_ptr<const leak::findings>& found);
};
std::vector<profile::sample> live_collector::samples_of(const std::shared_ptr<const leak::findings>& found) {
  std::vector<profile::sample> out;
  leak::on_large_stack([&] { out = found != nullptr ? leak::leak_samples(*found) : leak::goroutine_samples(); });
  return out;
}
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

server serve(const std::string& address) { return server(std::make_unique<server::state>(address)); }

void write(std::string_view name, std::ostream& out, int debug) {
  bool leaks = name == "goroutineleak";
  if (!leaks && name != "goroutine")
    throw std::invalid_argument("stray::pprof::write: unknown profile; there are goroutineleak and goroutine");
  if (debug < 0 || debug > 2)
    throw std::invalid_argument("stray::pprof::write: debug is 0 (protobuf), 1 (counts) or 2 (stacks)");
  std::vector<profile::stack_entry> stacks;
  std::vector<profile::sample> samples;
  if (debug == 2) {
    stacks = the_collector.stacks(name, false);
  } else {
    samples = the_collector.samples(name);
  }
  std::string bytes;
  leak::on_large_stack([&] {
    bytes = debug == 2   ? profile::write_stacks(stacks)
            : debug == 1 ? profile::write_counts(name, samples)
                         : profile::write_proto(name, samples, leaks);
  });
  out << bytes;
}

response handle(std::string_view method, std::string_view target) {
  if (goroutine_id() != 0) {  // the writers want more stack than a goroutine has, and the collector blocks: a thread of its own
    response answer;
    auto ready = make_chan<void>();
    std::thread([&answer, ready, m = std::string(method), t = std::string(target)] {
      answer = handle(m, t);
      ready.send();
    }).detach();
    ready.recv();
    return answer;
  }
  serve::response r = serve::route(the_collector, method, target, wait_here);
  return {r.status, std::move(r.headers), std::move(r.body)};
}

}  // namespace stray::pprof
