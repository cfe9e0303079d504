#include "leak/detect/look_first.h"

#include <algorithm>
#include <ctime>

#include "leak/model/task_source.h"

namespace stray::leak {

namespace {

using trace::stop_way;

// What take_view tells its choosers.
struct threads_of_ours {
  const std::vector<int>& askers;
  source_list sources;
};

// One of ours: stop; one of ours in a system call of the user's: `in_a_call`; anybody else's: `other`.
stop_way way_of(void* arg, int tid, stop_way in_a_call, stop_way other) noexcept {
  const auto& ours = *static_cast<const threads_of_ours*>(arg);
  if (std::find(ours.askers.begin(), ours.askers.end(), tid) != ours.askers.end()) return stop_way::stop;
  for (const task_source* s : ours.sources) {
    const thread_kind kind = s->kind_of(tid);
    if (kind != thread_kind::foreign) return kind == thread_kind::sleeping ? in_a_call : stop_way::stop;
  }
  return other;
}
stop_way look_at_others(void* ours, int tid) noexcept { return way_of(ours, tid, stop_way::look_if_asleep, stop_way::look); }
stop_way spare_others(void* ours, int tid) noexcept { return way_of(ours, tid, stop_way::spare, stop_way::spare); }

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
  threads_of_ours ours{askers, sources()};
  request.way_arg = &ours;
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
