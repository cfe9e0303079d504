// What one detection found, before anybody's options are applied. Plain values: no address of anything that could be a root.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <stray/leak.hpp>
#include "base/printable.h"
#include "leak/ablation.h"
#include "leak/verdict.h"
#include "profile/sample.h"
#include "runtime/task.h"

namespace stray::leak {

class thread_stacks;  // stacks.h

// Return addresses: in who called go, in its caller, and in that one's; 0: not known.
using creator_chain = std::array<std::uintptr_t, 1 + runtime::task::most_callers>;

struct finding {
  std::uint64_t id = 0;      // goroutine id, or TID
  wait_id wait;              // by its task owners are named
  std::uint32_t record = 0;  // its number in the slab of tasks
  bool thread = false;
  bool proven_before = false;  // by an earlier detection, not by this one (look_first.h 2)
  std::string thread_name;
  leak::tier tier = tier::proven;
  grounds reason = grounds::no_holder;
  runtime::wait_reason waits = runtime::wait_reason::none;
  std::int64_t since_ns = 0, age_ns = 0;  // monotonic
  std::size_t bytes = 0;                  // of stack
  std::uint64_t creator_id = 0;
  creator_chain creators{};
  std::uintptr_t made_at = 0;               // return address
  std::vector<std::uintptr_t> made_at_too;  // of a select: its other channels
  std::vector<std::uintptr_t> pcs;
  std::vector<profile::label> labels;    // by key
  std::string place;                     // likely: where the word or block lies; suspected: what it is compared with
  std::vector<std::uint64_t> owner_ids;  // of the lock, or several that could wake it (blame.h): some of them
  std::size_t owner_count = 0;
  bool for_reading = false;             // they hold it for reading
  std::uintptr_t masked_primitive = 0;  // the complement of an embedded primitive's address; 0: none
  // blame.h, by task id; 0: nobody.
  std::uint64_t waits_for = 0, root = 0;
  bool ring = false;
  std::size_t heap_bytes = 0;
};

// What can be read of a task that is in wait w; nothing if it is not. listed: it is going to be reported as one that can never wake
// (mark_listed).
std::optional<finding> describe_wait(runtime::task& t, wait_id w, thread_stacks& threads, bool listed);

struct findings {
  std::vector<finding> list;
  std::vector<std::string> notes;
  bool complete = true;
  std::chrono::nanoseconds pause{0}, elapsed{0};
  std::size_t blocks = 0;                         // of the heap, in use
  std::uint64_t unknown_bytes = 0;                // of the memory that is a root because nobody knows what it is
  std::chrono::nanoseconds walked{0}, judged{0};  // how long the snapshot took to list the heap and the roots, and to decide
  unsigned looks = 0, stops = 0;                  // snapshots for which others' threads were not stopped, were stopped
  std::uint64_t signals = 0;                      // sent to stop threads
  std::chrono::system_clock::time_point taken{};
  std::uint64_t generation = 0;
  std::uint64_t main_task_id = 0;  // of the main thread's record; 0: it has none
  std::optional<finding> main;  // the main thread, if it can never wake: it is not reported, and others' causes lead through it
};

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
// What a pause would take now, from resident memory and page tables; 0: cannot be told.
std::int64_t predicted_pause_ns() noexcept;

// The detector's thread runs it, between two detections, so it must not ask for one. Throws std::runtime_error with the text of what the job
// threw. What asks for symbols runs there: libdw wants more stack than a goroutine has, and the thread has a malloc arena of its own. Among
// blocks that user code recycles libdw's nodes point, long after, at what is a session of the user's by now: in the user's arenas they
// hid a leak whose channel lies in a heap block in one of three runs of ten tests. Results that are kept are freed there, too.
void on_detector(const std::function<void()>& job);

// By reclaim, on the detector's thread, before it ends the first goroutine: what was proven until now is so no more, for destructors that run
// may hand out what they lead to.
void forget_proofs() noexcept;
// On the detector's thread: somebody has been reclaimed since this detection began, so its proofs are forgotten.
bool is_forgotten(const findings& f) noexcept;

// Starts the detector's thread; idempotent.
void start_detector() noexcept;

// In the child of a fork, when the runtime starts afresh there: the detector is idle, and nothing was ever found. Each part where its data are.
void forget_detections();
void forget_history() noexcept;
void forget_waits();
void free_extra_roots() noexcept;

std::string age_text(std::chrono::nanoseconds age);  // "12 ms", "3.4 s", "56 s", "78 min"
std::string size_text(std::size_t bytes);
// "key=value key=value", of words (base::as_word): a value cannot look like another pair, or like a line of the report.
template <class Labels>
std::string text_of_labels(const Labels& labels) {
  std::string text;
  for (const auto& [key, value] : labels)
    text.append(text.empty() ? "" : " ").append(base::as_word(key)).append("=").append(base::as_word(value));
  return text;
}
// Such texts and how many of the group have these labels, the commonest first.
std::vector<std::pair<std::string, std::size_t>> label_sets(const group& g);
bool is_wanted(const finding& f, const options& o) noexcept;  // by tier and age
// Likely ones that `o` does not want for their tier alone, by doubt, the commonest first.
std::vector<doubt> doubts(const findings& f, const options& o);
// Of the profiles: "3, not proven: DOUBT".
std::vector<std::string> likely_lines(const findings& f);
// all: where owners and root leaks are looked up, when f is a part of it.
report make_report(const findings& f, const options& o, const findings* all = nullptr);

// All goroutines and blocked OS threads as stacks, leaked ones first when `f` is given (marked), the caller's own first otherwise.
// own_thread: the caller's, too, when it is an OS thread; a server's thread that asks for a profile is none of it.
std::vector<profile::stack_entry> all_stacks(const findings* f, bool only_leaked, bool own_thread = false);
std::vector<profile::sample> leak_samples(const findings& f);
std::vector<profile::sample> goroutine_samples();
// How many goroutines there are, by state: "running", "runnable", or what they wait for (Go's texts).
std::map<std::string_view, std::size_t> goroutines_by_state();

}  // namespace stray::leak
