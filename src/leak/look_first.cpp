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
  log.finished = false;
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

bool proof_list::holds(wait_id w) const noexcept { return std::binary_search(list_.begin(), list_.end(), w); }

void proof_list::replace(const verdict_log& log) {
  list_.clear();
  for (std::uint64_t i = 0; i < log.count; i++) {
    if (log.list[i].tier >= verdict_tier::cycle) list_.push_back(log.list[i].wait);
  }
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
