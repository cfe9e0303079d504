// The conductor: request -> snapshot -> verdicts -> findings. Runs on the detector's own thread, which exists from start-up on.
//
// 1. Without a candidate there is no snapshot; with one, only our own threads are stopped unless somebody may have leaked (look_first.h).
// 2. The child only decides; the stacks of leaked tasks are frozen, so they are read here, behind the inspecting bit.
// 3. A verdict whose task has moved on by then was wrong: it is dropped and counted.
// 4. Requests that arrive while a detection runs share the next one. One that was sent earlier than it was served (detect_since) may also
//    get the last one, if that began since: a report never is older than its request.
// 5. Each detection has a number; who shares one sees the same.
// Who blocks in find() waits for an internal reason: it is never a candidate.
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <functional>
#include <new>
#include <optional>
#include <stdexcept>
#include <sys/mman.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/sync_shim.h"
#include "leak/classify.h"
#include "leak/extra_roots.h"
#include "leak/findings.h"
#include "leak/history.h"
#include "leak/look_first.h"
#include "leak/path.h"
#include "leak/settle.h"
#include "leak/stacks.h"
#include "profile/symbolize.h"
#include "runtime/after_fork.h"
#include "runtime/context.h"
#include "runtime/current.h"
#include "runtime/deadlock.h"
#include "runtime/park.h"
#include "runtime/scheduler.h"
#include "runtime/stack.h"
#include "runtime/start.h"
#include "runtime/watcher.h"
#include "sync/chan_core.h"
#include "trace/memory_room.h"
#include "trace/snapshot.h"

namespace stray::leak {

namespace {

using runtime::task;

struct request {
  request* next = nullptr;
  task* asker = nullptr;
  ablation without;
  std::int64_t pause_budget_ns = 0;
  std::int64_t sent_ns = asks_now;             // a detection that began later may answer it
  bool only_kept = false;                      // the last one answers it, whenever it began, or none
  std::uint64_t path_to = 0;                   // goroutine
  path_log* path = nullptr;                    // asked for
  const std::function<void()>* job = nullptr;  // instead of a detection
  std::shared_ptr<const findings> answer;
  std::string error;

  bool plain() const noexcept { return job == nullptr && path == nullptr && without.none(); }  // may share a detection
};

struct detector {
  base::spin_lock lock;
  request* waiting = nullptr;
  std::atomic<std::uint32_t> work{0};
  std::atomic<bool> started{false}, asked_to_start{false};
  std::atomic<int> tid{0};
  std::atomic<std::int64_t> keep_until_ns{0};   // the last detection's findings
  std::uint64_t generation = 0, forgotten = 0;  // its own thread's: of the last detection, of the last one before a reclaim
};
constinit detector the_detector;

proof_list*& proven_pointer() {  // of the detector's thread; it may outlive statics
  static auto* list = new proof_list;
  return list;
}
proof_list& proven_list() { return *proven_pointer(); }

}  // namespace

void forget_proofs() noexcept {
  the_detector.forgotten = the_detector.generation;
  proven_list().clear();
}

bool is_forgotten(const findings& f) noexcept { return f.generation <= the_detector.forgotten; }

namespace {

std::size_t count_candidates() noexcept {
  base::slab<task>& all = runtime::tasks();
  std::size_t n = 0;
  for (std::size_t i = 1; i < all.used(); i++) {
    task* t = all.at(i);
    n += t->current_state() == runtime::state::waiting &&
         runtime::eligible(std::atomic_ref(t->reason).load(std::memory_order_relaxed)) && !t->is_main;  // order: a hint
  }
  return n;
}

// Of the detection under way: in the child of a fork nobody takes it back. The complement, since bounds of ours may be others' blocks.
struct {
  std::uintptr_t not_lo;
  std::size_t bytes;
} memory_at_work[2];

// Memory for one detection, taken back at its end.
class work_memory {
 public:
  explicit work_memory(std::size_t tasks) {
    size_ = (sizeof(path_log) + sizeof(verdict_log) + (tasks + 1) * sizeof(verdict) + base::page_size) & ~(base::page_size - 1);
    void* at = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at != MAP_FAILED) {
      path = static_cast<path_log*>(at);
      log = reinterpret_cast<verdict_log*>(path + 1);
      log->room = tasks + 1;
    }
    bump.reserve(std::size_t{64} << 30);
    memory_at_work[0] = {~log_range().lo, log_range().size()};
    memory_at_work[1] = {~bump.where().lo, bump.where().size()};
  }
  ~work_memory() {
    for (auto& m : memory_at_work) m = {};
    if (path != nullptr) munmap(path, size_);
    if (bump.where().size() != 0) munmap(reinterpret_cast<void*>(bump.where().lo), bump.where().size());
  }
  work_memory(const work_memory&) = delete;
  work_memory& operator=(const work_memory&) = delete;

  path_log* path = nullptr;
  verdict_log* log = nullptr;
  trace::bump bump;
  base::range log_range() const noexcept {
    auto lo = reinterpret_cast<std::uintptr_t>(path);
    return {lo, lo + size_};
  }

 private:
  std::size_t size_ = 0;
};

source_view capture() noexcept {
  source_view v;
  v.tasks = &runtime::tasks();
  v.cores = &sync::cores();
  v.ended_holds = &runtime::ended_holds();
  v.detector_tid = the_detector.tid.load();
  v.watcher_tid = runtime::watcher_tid();
  v.services = &runtime::services();
  v.reservation = base::reservation();
  v.entry = {reinterpret_cast<std::uintptr_t>(&runtime::goroutine_entry),
             reinterpret_cast<std::uintptr_t>(&runtime::stray_entry_end)};
  v.stacks = runtime::stack_views();
  v.forking_record = &runtime::forking_record;
  v.workers = runtime::sched().workers;
  v.worker_count = runtime::max_workers;
  v.timers = &runtime::timers();
  return v;
}

std::string hex(std::uintptr_t x) {
  char text[32];
  std::snprintf(text, sizeof text, "%#zx", x);
  return text;
}

// Where a likely leak's only word lies, in words that hold no address the tracer could meet again.
std::string place_of(grounds reason, std::uintptr_t at, const trace::doubt_log* doubts) {
  if (reason == grounds::ambiguous_word) {
    if (at < base::page_size) return "a register of a thread that sleeps in a system call";
    return "a word in a frame of a thread that sleeps in a system call, at " + hex(at);
  }
  if (reason == grounds::orphan) return "a heap block that nothing is seen to refer to, at " + hex(at);
  if (reason == grounds::unaligned)
    return "a word that is not aligned to 8 bytes, or in two halves, at " +
           (at < base::page_size ? "a thread's registers" : hex(at));
  if (reason == grounds::left_frames)
    return "a word below the stack pointer of a stack whose frames cannot be followed to its beginning (a fiber on an array in "
           "a frame of "
           "it?), at " +
           hex(at);
  if (reason == grounds::saved_context)
    return "a word in a context that setjmp or getcontext has saved, or in the frames to which it may return, at " + hex(at);
  if (reason == grounds::out_of_sight && doubts != nullptr && at < doubts->used) return doubts->list[at].line;
  return {};
}

std::optional<finding> describe(const verdict& v, thread_stacks& threads, bool proven_before, const trace::doubt_log* doubts) {
  task* t = runtime::tasks().at(v.record);
  auto tier = static_cast<leak::tier>(v.tier);
  std::optional<finding> f = describe_wait(*t, v.wait, threads, tier >= tier::cycle && !t->is_main);
  if (!f) {  // it has moved on: counted as a wrong verdict, of one that was listed before by its waker
    if (tier >= tier::cycle && !proven_before) runtime::mark_listed(t, v.wait);
    return std::nullopt;
  }
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
  f->place = place_of(v.reason, v.at, doubts);
  return f;
}

std::uint64_t main_task_id() noexcept {
  base::slab<task>& all = runtime::tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    if (all.at(i)->is_main && all.at(i)->current_state() != runtime::state::free) return all.at(i)->id;
  }
  return 0;
}

// What the log says, and whom an earlier detection has proven (look_first.h 2). log: nullptr if nothing was decided.
void list_findings(verdict_log* log, bool with_proofs, const trace::doubt_log* doubts, findings& out) {
  proof_list& proven = proven_list();
  std::vector<verdict> others;
  if (with_proofs) others = proven.others(log);
  thread_stacks threads;
  auto list = [&](const verdict& v, bool proven_before) {
    if (std::optional<finding> f = describe(v, threads, proven_before, doubts)) out.list.push_back(std::move(*f));
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
  if (log->main_is_stuck) out.main = describe(log->main, threads, true, doubts);
  if (log->blind) log->undecided -= std::min<std::uint64_t>(log->undecided, others.size());
  if (with_proofs) proven.replace(*log, others);
}

// With candidates.
void look_for_leaks(const ablation& without, const std::vector<int>& askers, findings& out, std::uint64_t path_to,
                    path_log* path_out) {
  work_memory memory(runtime::tasks().used() + 4096);
  if (memory.log == nullptr || memory.bump.where().size() == 0) {
    out.complete = false;
    out.notes.push_back("no memory for a detection (address space or overcommit limit): no verdict this time");
    return list_findings(nullptr, without.none(), nullptr, out);
  }
  extra_root_list roots = copy_extra_roots();
  classify_input input;
  input.view = capture();
  input.without = without;
  input.memory = &memory.bump;
  input.log = memory.log;
  input.extra_roots = roots.ranges;
  input.extra_count = roots.count;
  if (without.none()) input.known = &proven_list();
  path_request path;
  path.id = path_to;
  path.log = memory.path;
  path.extra_roots = roots.ranges;
  path.extra_count = roots.count;
  if (path_out != nullptr) input.path = &path;
  const base::range hidden[] = {memory.log_range(), memory.bump.where()};
  trace::snapshot_request snapshot;
  snapshot.decide = classify;
  snapshot.arg = &input;
  snapshot.who = client_of(input);
  snapshot.hidden = {hidden, 2};
  snapshot.off = without.off;
  view_of_all view = take_view(snapshot, *memory.log, askers, proven_list(), without.none() && path_out == nullptr);
  const trace::snapshot_outcome& outcome = view.outcome;
  out.pause = std::chrono::nanoseconds(view.pause_ns);
  out.blocks = outcome.blocks;
  out.unknown_bytes = outcome.unknown_bytes;
  out.walked = std::chrono::nanoseconds(outcome.walk_ns);
  out.judged = std::chrono::nanoseconds(outcome.decide_ns);
  out.looks = view.looks;
  out.stops = view.stops;
  out.signals = view.signals;
  for (std::uint32_t i = 0; outcome.notes != nullptr && i < outcome.notes->used; i++)
    out.notes.push_back(outcome.notes->notes[i].line);
  if (!outcome.ok || !memory.log->finished) {
    out.complete = false;
    std::string why = outcome.ok ? "the detector ran out of memory in its snapshot: no verdict this time" : outcome.why;
    if (out.notes.empty() || out.notes.back() != why) out.notes.push_back(std::move(why));
    list_findings(nullptr, without.none(), nullptr, out);
  } else {
    if (path_out != nullptr) *path_out = *memory.path;
    list_findings(memory.log, without.none(), outcome.doubts, out);
    if (outcome.faults + outcome.unknown != 0) out.complete = false;
    if (memory.log->undecided != 0) {
      out.complete = false;
      out.notes.push_back((memory.log->blind ? "tracer blind: " : "") + std::to_string(memory.log->undecided) +
                          (memory.log->undecided == 1 ? " candidate not decided" : " candidates not decided"));
    }
  }
}

std::string ms_text(std::int64_t ns) { return std::to_string((ns + 999'999) / 1'000'000) + " ms"; }

std::shared_ptr<const findings> run(const ablation& without, const std::vector<int>& askers, std::int64_t pause_budget_ns,
                                    std::uint64_t path_to = 0, path_log* path = nullptr) {
  auto out = std::make_shared<findings>();
  std::int64_t began = base::now_ns();
  out->taken = std::chrono::system_clock::now();
  out->generation = ++the_detector.generation;
  let_goroutines_settle();
  if (count_candidates() != 0) {
    out->main_task_id = main_task_id();
    std::int64_t predicted = pause_budget_ns > 0 ? predicted_pause_ns() : 0;
    if (predicted > pause_budget_ns) {
      out->complete = false;
      out->notes.push_back("a pause of " + ms_text(predicted) + " is predicted, more than the budget of " +
                           ms_text(pause_budget_ns) + ": no verdict this time");
      list_findings(nullptr, without.none(), nullptr, *out);
    } else {
      look_for_leaks(without, askers, *out, path_to, path);
    }
  }
  out->elapsed = std::chrono::nanoseconds(base::now_ns() - began);
  if (without.none()) remember(*out);
  return out;
}

// Of those who will share the detection; 0: somebody sets none.
std::int64_t largest_budget(const request* list) noexcept {
  std::int64_t most = 0;
  for (const request* r = list; r != nullptr; r = r->next) {
    if (!r->plain()) continue;
    if (r->pause_budget_ns <= 0) return 0;
    most = std::max(most, r->pause_budget_ns);
  }
  return most;
}

// The last detection, if a request of detect_since or detect_path got it, or somebody wants it kept. Its findings are kept until the next one
// begins, so that they are no root in its snapshot, or until nothing has been asked for 100 ms, and not longer than they are wanted.
struct last_shared {
  std::shared_ptr<const findings> found;
  std::int64_t began_ns = 0;
};

void serve(request* list, last_shared& last) noexcept {
  std::vector<int> askers;  // threads
  std::shared_ptr<const findings> shared;
  for (request* r = list; r != nullptr;) {
    try {
      if (askers.empty()) {
        for (request* a = r; a != nullptr; a = a->next) {
          if (a->asker->is_thread) askers.push_back(a->asker->tid);
        }
      }
      if (r->job != nullptr) {
        (*r->job)();
      } else if (!r->plain()) {
        last = {nullptr, base::now_ns()};
        r->answer = run(r->without, askers, 0, r->path_to, r->path);
        if (r->without.none()) last.found = r->answer;
      } else if (r->only_kept) {
        r->answer = last.found;
      } else if (shared == nullptr && last.found != nullptr && r->sent_ns < last.began_ns) {
        r->answer = last.found;
      } else {
        if (shared == nullptr) {
          last = {nullptr, base::now_ns()};
          shared = run({}, askers, largest_budget(r));
        }
        if (r->sent_ns != asks_now || base::now_ns() < the_detector.keep_until_ns.load()) last.found = shared;
        r->answer = shared;
      }
    } catch (const std::exception& e) {
      r->error = e.what();
    }
    request* next = r->next;
    task* asker = r->asker;  // r lies in its frame: gone once it runs
    while (!runtime::try_claim(asker)) base::sys::call(SYS_sched_yield);
    runtime::make_runnable(asker);
    r = next;
  }
}

void* detector_body(void*) {
  detector& d = the_detector;
  d.tid.store(base::sys::gettid());
  runtime::register_passive_thread();
  trace::init_snapshot();
  last_shared last;
  d.started.store(true);
  for (;;) {
    d.lock.lock();
    request* list = d.waiting;
    d.waiting = nullptr;
    if (list == nullptr) d.work.store(0);
    d.lock.unlock();
    if (list == nullptr) {
      const timespec kept = base::to_timespec(std::max<std::int64_t>(100'000'000, d.keep_until_ns.load() - base::now_ns()));
      base::futex_wait(d.work, 0, last.found != nullptr ? &kept : nullptr);
      if (d.work.load() == 0 && base::now_ns() >= d.keep_until_ns.load()) last.found.reset();
      continue;
    }
    serve(list, last);
  }
  return nullptr;
}

}  // namespace

void forget_detections() {
  const std::uint64_t generation = the_detector.generation;
  for (auto& m : memory_at_work) {
    if (m.bytes != 0) munmap(reinterpret_cast<void*>(~m.not_lo), m.bytes);
    m = {};
  }
  ::new (&the_detector) detector;
  the_detector.generation = the_detector.forgotten = generation;
  proven_pointer() = new proof_list;  // the old one may be half written
}

void start_detector() noexcept {
  if (the_detector.asked_to_start.exchange(true)) return;
  try {
    runtime::start_thread("stray-detect", detector_body, nullptr);
  } catch (const std::exception& e) {
    base::say("%s", e.what());
    base::fatal("the detector cannot start");
  }
}

namespace {

// Hands r to the detector's thread and blocks until it has been served.
void ask(request& r) {
  runtime::ensure_started();
  r.asker = runtime::current_task();
  detector& d = the_detector;
  runtime::prepare_wait(r.asker, runtime::wait_reason::internal, nullptr, 0);
  d.lock.lock();
  r.next = d.waiting;
  d.waiting = &r;
  d.work.store(1);
  d.lock.unlock();
  base::futex_wake(d.work, 1);
  runtime::park(r.asker);
}

}  // namespace

std::int64_t predicted_pause_ns() noexcept {
  trace::process_memory m = trace::memory_of_process();
  return static_cast<std::int64_t>(m.resident / 64 + m.page_tables * 75 / 128);  // 16 ms a GB, 0.6 ms a MB
}

namespace {

std::shared_ptr<const findings> answer_of(request& r) {
  ask(r);
  if (r.answer == nullptr) {
    auto failed = std::make_shared<findings>();
    failed->complete = false;
    failed->notes.push_back("the detection failed: " + r.error);
    return failed;
  }
  return r.answer;
}

}  // namespace

std::shared_ptr<const findings> detect(const ablation& without, std::int64_t pause_budget_ns) {
  request r;
  r.without = without;
  r.pause_budget_ns = pause_budget_ns;
  return answer_of(r);
}

std::shared_ptr<const findings> detect_since(std::int64_t sent_ns) {
  request r;
  r.sent_ns = sent_ns;
  return answer_of(r);
}

std::shared_ptr<const findings> kept_detection() {
  request r;
  r.only_kept = true;
  ask(r);
  return std::move(r.answer);
}

void keep_detection_until(std::int64_t ns) noexcept { the_detector.keep_until_ns.store(ns); }

std::shared_ptr<const findings> detect_path(std::uint64_t goroutine_id, path_log& out) {
  request r;
  r.path_to = goroutine_id;
  r.path = &out;
  return answer_of(r);
}

void on_detector(const std::function<void()>& job) {
  request r;
  r.job = &job;
  ask(r);
  if (!r.error.empty()) throw std::runtime_error(r.error);
}

}  // namespace stray::leak
