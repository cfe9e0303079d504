// What the routes (routes.h) serve, and the form of their answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "profile/sample.h"

namespace stray::serve {

struct response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // of a HEAD request too: who sends it leaves the body out and keeps its length
};

// Thrown by a collector that has no time for such a question so soon (budget.h), or is asked for too much at once: a 503 with Retry-After.
struct too_soon : std::runtime_error {
  too_soon(const std::string& text, std::chrono::seconds after) : std::runtime_error(text), retry_after(after) {}
  std::chrono::seconds retry_after;
};

// How old a detection may be that answers: the last one, when there is no budget for another; one begun for it, or too_soon; one begun for it.
enum class look { may_be_old, new_or_none, always_new };

// What the routes serve. src/leak implements it; an exception's text becomes the body of a 500.
class collector {
 public:
  struct tally {
    std::size_t count = 0;
    std::int64_t taken_at = 0;  // unix seconds; 0: never taken yet
    bool live = false;          // counted now: no need to say when
    bool complete = true;       // false: there may be more
  };

  virtual ~collector() = default;
  // Before anything that costs much. Throws too_soon; an answer that was kept to the same question is given then.
  virtual void ask_for_time() {}
  virtual void keep(std::string_view /*question*/, const response& /*answer*/) {}
  struct kept_answer {
    response what;
    std::chrono::system_clock::time_point taken;
  };
  virtual std::optional<kept_answer> kept(std::string_view /*question*/) { return std::nullopt; }
  // profile is "goroutineleak" (runs a detection) or "goroutine".
  virtual profile::collection<profile::sample> samples(std::string_view profile, look how) = 0;
  // All goroutines, leaked ones first and marked; with leaked_only those alone. For "goroutineleak" a detection runs before.
  virtual profile::collection<profile::stack_entry> stacks(std::string_view profile, bool leaked_only) = 0;
  // The number for the index page: must be cheap, runs no detection.
  virtual tally count(std::string_view profile) = 0;
  // goroutineleak?debug=3: the explanation for people. Empty: not provided, then debug=3 is debug=2.
  virtual std::optional<std::string> explain() { return std::nullopt; }
  // /metrics (Prometheus text; detect: a detection runs before) and /debug/stray/ (HTML). Empty: 404.
  virtual std::optional<std::string> metrics(bool /*detect*/) { return std::nullopt; }
  // why: a goroutine's id to be explained on the page, 0: none.
  virtual std::optional<std::string> page(std::uint64_t /*why*/) { return std::nullopt; }
  // /debug/stray/longest: who has been blocked longest (longest.h).
  virtual std::optional<std::string> longest() { return std::nullopt; }
  // When the detection was taken that answered, if that was not for this request.
  virtual std::optional<std::chrono::system_clock::time_point> taken_before() { return std::nullopt; }
  // /debug/stray/why: what keeps the goroutine alive.
  virtual std::optional<std::string> why(std::uint64_t /*goroutine*/) { return std::nullopt; }
};

}  // namespace stray::serve
