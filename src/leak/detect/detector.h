// The detector's thread, and the queue of what it is asked. Any goroutine or OS thread may ask; it blocks until it is answered, for an internal
// reason: it is never a candidate.
//
// 1. Requests that arrive while a detection runs share the next one.
// 2. One that was sent earlier than it was served (detect_since) may also get the last one, if that began since: a report never is older than
//    its request.
// 3. Each detection has a number; all that share one see the same.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>

#include "leak/model/ablation.h"
#include "leak/model/findings.h"

namespace stray::leak {

// Waits for a detection that begins after the call; calls at the same time share it. Any goroutine or OS thread.
// A detection with `without` is not shared.
// pause_budget_ns: as in options.
std::shared_ptr<const findings> detect(const ablation& without = {}, std::int64_t pause_budget_ns = 0);
// The same for a request that was sent at that time (base::now_ns): a detection that began since may answer it, too, while its findings
// are kept (for some ms). asks_now: none may.
inline constexpr std::int64_t asks_now = std::numeric_limits<std::int64_t>::max();
std::shared_ptr<const findings> detect_since(std::int64_t sent_ns);
// The last detection that any of them got, as long as it is kept: without another one; nullptr: it is not. And how long it shall be kept
// (base::now_ns), unless another one begins.
std::shared_ptr<const findings> kept_detection();
void keep_detection_until(std::int64_t ns) noexcept;
// Not shared: also fills `out` with what keeps the goroutine alive (path.h).
struct path_log;
std::shared_ptr<const findings> detect_path(std::uint64_t goroutine_id, path_log& out);
// The detector's thread runs it, between two detections, so it must not ask for one. Throws std::runtime_error with the text of what the job
// threw. What asks for symbols runs there: libdw wants more stack than a goroutine has, and the thread has a malloc arena of its own. Among
// blocks that user code recycles libdw's nodes point, long after, at what is a session of the user's by now: in the user's arenas they
// hid a leak whose channel lies in a heap block in one of three runs of ten tests. Results that are kept are freed there, too.
void on_detector(const std::function<void()>& job);

// Starts the detector's thread; idempotent.
void start_detector() noexcept;

// In the child of a fork, when the runtime starts afresh there: the detector is idle, and nothing was ever found.
void forget_detections();

}  // namespace stray::leak
