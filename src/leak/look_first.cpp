#include "leak/look_first.h"

#include <algorithm>
#include <ctime>

#include "runtime/scheduler.h"
#include "runtime/watcher.h"
#include "trace/task_list.h"

namespace stray::leak {

namespace {

using trace::stop_way;

bool asks(void* askers, int tid) noexcept {
  const auto& all = *static_cast<const std::vector<int>*>(askers);
  return std::find(all.begin(), all.end(), tid) != all.end();
}

// One of ours: stop; one of ours in a system call of the user's: `in_a_call`; anybody else's: `other`.
stop_way way_of(void* askers, int tid, stop_way in_a_call, stop_way other) noexcept {
  if (tid == runtime::watcher_tid() || asks(askers, tid)) return stop_way::stop;
  runtime::scheduler& s = runtime::sched();
  for (int i = 0; i < s.made.load(); i++) {
    const runtime::worker& w = s.workers[i];
    if (w.tid.load() != tid) continue;
    trace::task_look look;
    bool may_sleep_for_others = !w.asleep.load() && trace::look_at_task(tid, look) && look.state != 'R';
    return may_sleep_for_others ? in_a_call : stop_way::stop;
  }
  return other;
}
stop_way look_at_others(void* askers, int tid) noexcept {
  return way_of(askers, tid, stop_way::look_if_asleep, stop_way::look);
}
stop_way spare_others(void* askers, int tid) noexcept { return way_of(askers, tid, stop_way::spare, stop_way::spare); }

void nap() noexcept {
  timespec t{0, 2'000'000};
  nanosleep(&t, nullptr);
}

void clear(verdict_log& log) noexcept {
  log.count = log.undecided = 0;
  log.finished = log.main_is_stuck = false;
}

// A block that nothing is seen to refer to may be held by a thread that ran: its frames were not seen.
void drop_orphans(verdict_log& log) noexcept {
  std::uint64_t kept = 0;
  for (std::uint64_t i = 0; i < log.count; i++) {
    if (log.list[i].reason != grounds::orphan) log.list[kept++] = log.list[i];
  }
  log.count = kept;
}

bool all_known(const verdict_log& log, const proof_list& known) noexcept {
  for (std::uint64_t i = 0; i < log.count; i++) {
    const verdict& v = log.list[i];
    if (v.tier >= verdict_tier::cycle && !known.holds(v.wait)) return false;
  }
  return true;
}

}  // namespace

namespace {

std::uint32_t named(std::uint32_t owner_count) noexcept { return std::min(owner_count, verdict::owners_named); }

// One load of the word decides; a record's seq never comes back (runtime/task.h 6).
bool waits_still(std::uint32_t record, wait_id w) noexcept {
  const runtime::task& t = *runtime::tasks().at(record);
  std::uint64_t word = t.word.load();
  return runtime::word::state_of(word) == runtime::state::waiting && t.wait(word) == w;
}

std::vector<wait_id> proven_in(const verdict_log& log) {
  std::vector<wait_id> all;
  for (std::uint64_t i = 0; i < log.count; i++) {
    if (log.list[i].tier >= verdict_tier::cycle) all.push_back(log.list[i].wait);
  }
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

std::vector<verdict> proof_list::others(const verdict_log* log) const {
  std::vector<verdict> out;
  std::vector<wait_id> now;
  if (log != nullptr) now = proven_in(*log);
  auto at = now.begin();
  for (const proof& p : list_) {
    while (at != now.end() && *at < p.wait) ++at;
    if ((at != now.end() && *at == p.wait) || !waits_still(p.record, p.wait)) continue;
    out.push_back(as_verdict(p));
  }
  return out;
}

void proof_list::add(const verdict& v) {
  auto first = static_cast<std::uint32_t>(owners_.size());
  owners_.insert(owners_.end(), v.owner_ids, v.owner_ids + named(v.owner_count));
  list_.push_back(
      {v.wait, v.waits_for, v.root, v.heap_bytes, first, v.owner_count, v.record, v.reason, v.for_reading, v.ring, v.tier});
}

verdict proof_list::as_verdict(const proof& p) const noexcept {
  verdict v{};
  v.record = p.record;
  v.tier = p.tier;
  v.reason = p.reason;
  v.for_reading = p.for_reading;
  v.wait = p.wait;
  v.owner_count = p.owner_count;
  std::copy_n(owners_.begin() + p.first_owner, named(p.owner_count), v.owner_ids);
  v.waits_for = p.waits_for;
  v.root = p.root;
  v.ring = p.ring;
  v.heap_bytes = p.heap_bytes;
  return v;
}

void proof_list::replace(const verdict_log& log, const std::vector<verdict>& others) {
  clear();
  for (std::uint64_t i = 0; i < log.count; i++) {
    if (log.list[i].tier >= verdict_tier::cycle) add(log.list[i]);
  }
  for (const verdict& v : others) add(v);
  std::sort(list_.begin(), list_.end());
}

view_of_all take_view(trace::snapshot_request request, verdict_log& log, const std::vector<int>& askers,
                      const proof_list& known, bool look) {
  view_of_all view;
  trace::snapshot_outcome& outcome = view.outcome;
  auto take = [&](unsigned& counter) {
    clear(log);
    outcome = trace::take_snapshot(request);
    counter++;
    view.signals += outcome.signals;
    view.pause_ns = std::max(view.pause_ns, outcome.pause_ns);
  };
  request.way_arg = const_cast<std::vector<int>*>(&askers);
  if (look) {
    request.way = look_at_others;
    do {
      if (view.looks != 0) nap();
      request.only_if_asleep = view.looks < 2;
      take(view.looks);
    } while (!outcome.ok && outcome.ran != 0 && request.only_if_asleep);
    request.only_if_asleep = false;
    bool failed = !outcome.ok && outcome.ran == 0;  // the second would fail, too, and disturb others for nothing
    if (failed || (outcome.ok && outcome.looked == 0 && outcome.unstopped == 0)) return view;
    if (outcome.ok && log.finished && outcome.unstopped == 0 && all_known(log, known)) {
      if (outcome.ran != 0) drop_orphans(log);
      return view;
    }
  }
  request.way = spare_others;
  // A thread that is just being created blocks all signals for a moment.
  do {
    if (view.stops != 0) nap();
    take(view.stops);
  } while (outcome.ok && outcome.unstopped != 0 && view.stops < 4);
  return view;
}

}  // namespace stray::leak
