// One detection: capture -> snapshot -> classify -> findings. On the detector's thread (detector.h).
//
// 1. Without a candidate there is no snapshot. With one, only our own threads are stopped unless somebody may have leaked (look_first.h).
// 2. Classification runs in the snapshot's child (classify.h), and only decides. The stacks of leaked tasks are frozen, so they are read
//    here, behind the inspecting bit.
// 3. A verdict whose task has moved on by then was wrong: it is dropped and counted.
#include "leak/detect/detection.h"

#include <algorithm>
#include <optional>

#include "base/clock.h"
#include "base/format.h"
#include "base/sync_shim.h"
#include "leak/classify/classify.h"
#include "leak/classify/path.h"
#include "leak/detect/extra_roots.h"
#include "leak/detect/look_first.h"
#include "leak/detect/work_memory.h"
#include "leak/model/task_source.h"
#include "leak/model/thread_stacks.h"
#include "leak/report/history.h"
#include "trace/memory_room.h"
#include "trace/snapshot.h"

namespace stray::leak {

namespace {

// Of the detector's thread.
std::uint64_t last_generation = 0, forgotten_generation = 0;  // of the last detection, of the last one before a reclaim

proof_list*& proven_pointer() {  // of the detector's thread; it may outlive statics
  static auto* list = new proof_list;
  return list;
}
proof_list& proven_list() { return *proven_pointer(); }

}  // namespace

void forget_proofs() noexcept {
  forgotten_generation = last_generation;
  proven_list().clear();
}

bool is_forgotten(const findings& f) noexcept { return f.generation <= forgotten_generation; }

namespace {

std::size_t count_candidates() noexcept {
  std::size_t n = 0;
  for (const task_source* s : sources()) n += s->candidates();
  return n;
}

std::size_t count_records() noexcept {
  std::size_t n = 0;
  for (const task_source* s : sources()) n += s->records();
  return n;
}

// Where a likely leak's only word lies, in words that hold no address the tracer could meet again.
std::string place_of(grounds reason, std::uintptr_t at, const trace::doubt_log* doubts) {
  if (reason == grounds::ambiguous_word) {
    if (at < base::page_size) return "a register of a thread that sleeps in a system call";
    return "a word in a frame of a thread that sleeps in a system call, at " + base::hex(at);
  }
  if (reason == grounds::orphan) return "a heap block that nothing is seen to refer to, at " + base::hex(at);
  if (reason == grounds::unaligned)
    return "a word that is not aligned to 8 bytes, or in two halves, at " +
           (at < base::page_size ? "a thread's registers" : base::hex(at));
  if (reason == grounds::left_frames)
    return "a word below the stack pointer of a stack whose frames cannot be followed to its beginning (a fiber on an array in "
           "a frame of "
           "it?), at " +
           base::hex(at);
  if (reason == grounds::saved_context)
    return "a word in a context that setjmp or getcontext has saved, or in the frames to which it may return, at " +
           base::hex(at);
  if (reason == grounds::out_of_sight && doubts != nullptr && at < doubts->used) return doubts->list[at].line;
  return {};
}

std::optional<finding> describe(const verdict& v, thread_stacks& threads, bool proven_before, bool is_main,
                                const trace::doubt_log* doubts) {
  task_source& source = sources()[v.source];
  const auto tier = static_cast<leak::tier>(v.tier);
  const bool proven = tier >= tier::cycle;
  std::optional<finding> f = source.describe(v.record, v.wait, threads, proven && !is_main);
  if (!f) {  // it has moved on; of one that was listed before its waker counts it
    if (proven && !proven_before) source.note_wrong(v.record, v.wait);
    return std::nullopt;
  }
  f->source = v.source;
  f->record = v.record;
  f->proven_before = proven_before;
  f->tier = tier;
  f->reason = v.reason;
  f->owner_count = v.owner_count;
  f->owner_ids.assign(v.owner_ids, v.owner_ids + std::min(v.owner_count, verdict::owners_named));
  f->for_reading = v.for_reading;
  f->waits_for = v.waits_for;
  f->root = v.root;
  f->ring = v.ring;
  f->heap_bytes = v.heap_bytes;
  f->wakers = v.wakers;
  f->place = place_of(v.reason, v.at, doubts);
  return f;
}

// What the log says, and whom an earlier detection has proven (look_first.h 2). log: nullptr if nothing was decided.
void list_findings(verdict_log* log, bool with_proofs, const trace::doubt_log* doubts, findings& out) {
  proof_list& proven = proven_list();
  std::vector<verdict> others;
  if (with_proofs) others = proven.others(log);
  thread_stacks threads;
  auto list = [&](const verdict& v, bool proven_before) {
    if (std::optional<finding> f = describe(v, threads, proven_before, false, doubts)) out.list.push_back(std::move(*f));
  };
  for (std::uint64_t i = 0; log != nullptr && i < log->count; i++) {
    prefetch_stack_ahead(log->list, i, log->count);
    const verdict& v = log->list[i];
    bool is_other = with_proofs && v.tier < verdict_tier::cycle && proven.holds(v.wait);
    if (!is_other) list(v, false);
    if (is_other && v.reason == grounds::not_stopped) log->undecided--;
  }
  for (const verdict& v : others) list(v, true);
  if (log == nullptr) return;
  if (log->main_is_stuck) out.main = describe(log->main, threads, true, true, doubts);
  if (log->blind) log->undecided -= std::min<std::uint64_t>(log->undecided, others.size());
  if (with_proofs) proven.replace(*log, others);
}

std::string ms_text(std::int64_t ns) { return std::to_string((ns + 999'999) / 1'000'000) + " ms"; }

class detection {
 public:
  explicit detection(const detection_terms& terms) noexcept : terms_(terms) {}
  std::shared_ptr<const findings> run();

 private:
  void look_for_leaks();
  classify_input capture(work_memory& memory, const extra_root_list& roots, path_request& path) const;
  view_of_all take_snapshots(classify_input& input, const work_memory& memory) const;
  void note_figures(const view_of_all& view);
  void conclude(const trace::snapshot_outcome& outcome, const work_memory& memory);
  void undecided(std::string why);

  bool is_ablation() const noexcept { return !terms_.without.none(); }

  const detection_terms& terms_;
  std::shared_ptr<findings> out_ = std::make_shared<findings>();
};

// Nothing was decided: reported is who was proven before.
void detection::undecided(std::string why) {
  out_->complete = false;
  if (out_->notes.empty() || out_->notes.back() != why) out_->notes.push_back(std::move(why));
  list_findings(nullptr, !is_ablation(), nullptr, *out_);
}

classify_input detection::capture(work_memory& memory, const extra_root_list& roots, path_request& path) const {
  classify_input input;
  for (task_source* s : sources()) input.sources[input.source_count++] = s->look();
  input.reservation = base::reservation();
  input.without = terms_.without;
  input.memory = &memory.bump;
  input.log = memory.log;
  input.extra_roots = path.extra_roots = roots.ranges;
  input.extra_count = path.extra_count = roots.count;
  if (!is_ablation()) input.known = &proven_list();
  path.id = terms_.path_to;
  path.log = memory.path;
  if (terms_.path != nullptr) input.path = &path;
  return input;
}

view_of_all detection::take_snapshots(classify_input& input, const work_memory& memory) const {
  const base::range hidden[] = {memory.log_range(), memory.bump.where()};
  trace::snapshot_request request;
  request.decide = classify;
  request.arg = &input;
  request.who = client_of(input);
  request.hidden = {hidden, 2};
  request.off = terms_.without.off;
  return take_view(request, *memory.log, terms_.askers, proven_list(), !is_ablation() && terms_.path == nullptr);
}

void detection::note_figures(const view_of_all& view) {
  const trace::snapshot_outcome& outcome = view.outcome;
  out_->pause = std::chrono::nanoseconds(view.pause_ns);
  out_->blocks = outcome.blocks;
  out_->unknown_bytes = outcome.unknown_bytes;
  out_->walked = std::chrono::nanoseconds(outcome.walk_ns);
  out_->judged = std::chrono::nanoseconds(outcome.decide_ns);
  out_->looks = view.looks;
  out_->stops = view.stops;
  out_->signals = view.signals;
  for (std::uint32_t i = 0; outcome.notes != nullptr && i < outcome.notes->used; i++)
    out_->notes.push_back(outcome.notes->notes[i].line);
}

void detection::conclude(const trace::snapshot_outcome& outcome, const work_memory& memory) {
  verdict_log& log = *memory.log;
  if (!outcome.ok) return undecided(outcome.why);
  if (!log.finished) return undecided("the detector ran out of memory in its snapshot: no verdict this time");
  if (terms_.path != nullptr) *terms_.path = *memory.path;
  list_findings(&log, !is_ablation(), outcome.doubts, *out_);
  if (outcome.faults + outcome.unknown != 0) out_->complete = false;
  if (log.undecided == 0) return;
  out_->complete = false;
  out_->notes.push_back((log.blind ? "tracer blind: " : "") + std::to_string(log.undecided) +
                        (log.undecided == 1 ? " candidate not decided" : " candidates not decided"));
}

void detection::look_for_leaks() {
  work_memory memory(count_records() + 4096);
  if (!memory.is_complete())
    return undecided("no memory for a detection (address space or overcommit limit): no verdict this time");
  const extra_root_list roots = copy_extra_roots();
  path_request path;
  classify_input input = capture(memory, roots, path);
  const view_of_all view = take_snapshots(input, memory);  // classify() runs in the child of each
  note_figures(view);
  conclude(view.outcome, memory);
}

std::shared_ptr<const findings> detection::run() {
  const std::int64_t began = base::now_ns();
  out_->taken = std::chrono::system_clock::now();
  out_->generation = ++last_generation;
  for (task_source* s : sources()) s->settle();
  if (count_candidates() != 0) {
    for (const task_source* s : sources()) out_->main_task_id = std::max(out_->main_task_id, s->main_task());
    const std::int64_t budget = terms_.pause_budget_ns, predicted = budget > 0 ? predicted_pause_ns() : 0;
    if (predicted > budget) {
      undecided("a pause of " + ms_text(predicted) + " is predicted, more than the budget of " + ms_text(budget) +
                ": no verdict this time");
    } else {
      look_for_leaks();
    }
  }
  out_->elapsed = std::chrono::nanoseconds(base::now_ns() - began);
  if (!is_ablation()) remember(*out_);
  return std::move(out_);
}

}  // namespace

std::shared_ptr<const findings> run_detection(const detection_terms& terms) { return detection(terms).run(); }

std::int64_t predicted_pause_ns() noexcept {
  trace::process_memory m = trace::memory_of_process();
  return static_cast<std::int64_t>(m.resident / 64 + m.page_tables * 75 / 128);  // 16 ms a GB, 0.6 ms a MB
}

void forget_detections_of_parent() {
  free_parents_work_memory();
  forgotten_generation = last_generation;
  proven_pointer() = new proof_list;  // the old one may be half written
}

}  // namespace stray::leak
