// The entry points of <stray/leak.hpp> that take a detection; where to begin to read.
//
//   find     -> detect (detector.h) -> run_detection (detection.cpp) -> take_view (look_first.h) -> take_snapshot (trace/snapshot.h)
//            -> in its child: prepare, classify (classify.h) -> in the parent: findings -> make_report -> the caller
//   why      the same with a path asked for (path.h)
//   reclaim  find once more, then unwind what both have proven (reclaim.cpp)
//   on_leak  find in a thread of its own (watch.cpp)
//
// Each clears the stack below the caller's frame before its work and after it: words that earlier calls have left there would be read as the
// caller's, and hide a leak.
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <stray/leak.hpp>
#include "base/stale_words.h"
#include "leak/detect/detector.h"
#include "leak/detect/why.h"
#include "leak/goroutines/host.h"
#include "leak/model/findings.h"
#include "leak/reclaim/reclaim.h"
#include "leak/report/make_report.h"
#include "leak/report/suspects.h"

namespace stray::leak {

namespace {

// With those that are old or fill up, and proven by nothing.
std::shared_ptr<const findings> with_suspects(const findings& f, const options& o) {
  auto more = std::make_shared<findings>(f);
  std::vector<finding> old = suspects(f, o.min_age.count() > 0 ? o.min_age.count() : usual_floor_ns);
  more->list.insert(more->list.end(), std::make_move_iterator(old.begin()), std::make_move_iterator(old.end()));
  return more;
}

[[gnu::noinline]] report find_now(const options& o) {
  if (!runtime_runs()) return make_report(findings{}, o);
  std::shared_ptr<const findings> f = detect({}, o.pause_budget.count());
  report made;
  on_detector([&] {
    if (o.min_tier == tier::suspected) f = with_suspects(*f, o);
    made = make_report(*f, o);
    f.reset();
  });
  // The detector's blocks are freed on its thread (detector.h); the caller gets a copy, unless that is dear.
  constexpr std::size_t copied_up_to = 10'000;
  if (made.total() > copied_up_to) return made;
  report r = made;
  on_detector([&] { made = report(); });
  return r;
}

}  // namespace

extern "C" {
[[gnu::visibility("hidden"), gnu::used]] report* stray_find(report* result, const options& o) {
  return base::into_cleared(result, [&] { return find_now(o); });
}
[[gnu::visibility("hidden"), gnu::used]] std::string* stray_why(std::string* result, std::uint64_t goroutine_id) {
  return base::into_cleared(result, [&] { return why_now(goroutine_id); });
}
[[gnu::visibility("hidden"), gnu::used]] reclaim_report* stray_reclaim(reclaim_report* result, const report& r,
                                                                       const reclaim_options& o) {
  return base::into_cleared(result, [&] { return reclaim_now(r, o); });
}
}

[[gnu::naked]] report find(const options&) { STRAY_CLEAR_STACK_AND_GO_TO("stray_find"); }
[[gnu::naked]] std::string why(std::uint64_t) { STRAY_CLEAR_STACK_AND_GO_TO("stray_why"); }
[[gnu::naked]] reclaim_report reclaim(const report&, const reclaim_options&) { STRAY_CLEAR_STACK_AND_GO_TO("stray_reclaim"); }

}  // namespace stray::leak
