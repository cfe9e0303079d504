// Reclaim: leaked goroutines are unwound to their end.
//
//   the detector's thread, for one goroutine            the goroutine
//   begin_inspection of the very wait that both          waits
//   detections called leaked: it stays
//   dry run (dry_run.h): a refusal changes nothing       waits
//   withdraw: the claim of a waker, and out of every     waits, for nobody
//   queue, in one step (sync/withdraw.h)
//   divert, end_inspection, make_runnable                runs unwind, not the rest of park
//                                                        forced unwinding to its entry; retire; the batch learns of it; gone
//
// 1. Taken on the detector's thread, so that no detection is half-way: who is woken by a destructor was reported leaked and is no wrong verdict.
//    So `listed` is taken off all that the second detection named, once one of them is taken, and all proofs are forgotten (forget_proofs).
// 2. A wake of one that was chosen would prove a verdict wrong. It is no harm (one CAS decides), is said, and the goroutine runs on.
// 3. Of a chain of those who wait for each other the end is taken, of a ring one: the others may wake by themselves.
// 4. What the unwinding needs lies in the record's closure, which is empty once the goroutine has run: its frames are overwritten.
// 5. A detection that began before somebody else's reclaim, which it may have shared, takes nobody: it is made again. Who is taken is found by
//    the identity of its wait (wait_id), never by its record alone: that may be another goroutine's by now.
// 6. being_unwound is set before the goroutine runs and cleared at its end: a second unwinding on top of a first would meet landing pads.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <ostream>
#include <unwind.h>

#include <stray/semaphore.hpp>
#include "base/check.h"
#include "base/printable.h"
#include "leak/detect/detection.h"
#include "leak/detect/detector.h"
#include "leak/goroutines/stacks.h"
#include "leak/model/findings.h"
#include "leak/reclaim/dry_run.h"
#include "leak/reclaim/reclaim.h"
#include "leak/reclaim/terminates.h"
#include "leak/report/history.h"
#include "profile/symbolize.h"
#include "runtime/current.h"
#include "runtime/divert.h"
#include "runtime/park.h"
#include "runtime/scheduler.h"
#include "runtime/service_thread.h"
#include "runtime/started.h"
#include "sync/withdraw.h"

namespace stray::leak {

namespace {

using runtime::task;

// One call of reclaim: it may have given up waiting when the last goroutine ends. The last reference deletes it.
struct batch {
  semaphore ended{0};
  std::unique_ptr<std::atomic<bool>[]> gone;  // by place in the report: it has ended
  std::atomic<std::size_t> references{1};
  void drop() noexcept {
    if (references.fetch_sub(1) == 1) delete this;
  }
};
struct drop_batch {
  void operator()(batch* b) const noexcept { b->drop(); }
};

struct unwinding {  // in task::closure
  _Unwind_Exception exception;
  std::uintptr_t end;
  batch* of;
  std::size_t place;
};
static_assert(sizeof(unwinding) <= detail::small_closure && alignof(unwinding) <= 16);
unwinding* of_task(task* t) noexcept { return std::launder(reinterpret_cast<unwinding*>(t->closure)); }

// Called before each frame is unwound.
_Unwind_Reason_Code stop(int, _Unwind_Action actions, _Unwind_Exception_Class, _Unwind_Exception*, _Unwind_Context* context,
                         void* arg) {
  auto* t = static_cast<task*>(arg);
  if ((actions & _UA_END_OF_STACK) != 0) base::fatal("leak::reclaim: the unwinding has missed the goroutine's entry");
  if (static_cast<std::uintptr_t>(_Unwind_GetIP(context)) != of_task(t)->end) return _URC_NO_REASON;
  // Nothing of the user's is left on this stack.
  batch* of = of_task(t)->of;
  t->being_unwound = false;
  runtime::retire(t);
  count_reclaimed();
  of->gone[of_task(t)->place] = true;
  of->ended.release();
  of->drop();
  runtime::leave_for_ever(t);
}

void unwind(task* t) {
  unwinding* u = of_task(t);
  _Unwind_ForcedUnwind(&u->exception, stop, t);
  base::fatal("leak::reclaim: the stack cannot be unwound");
}

struct refusal {
  const char* reason = nullptr;  // nullptr: taken
  std::uintptr_t at = 0;         // return address in the frame that is in the way
};

refusal take_inspected(task* t, wait_id w, batch* of, std::size_t place, terminate_calls& ends) {
  if (t->being_unwound) return {"it is being unwound already, and blocks on the way", 0};
  if (t->closure_live.load()) return {"it has not begun to run its function", 0};
  if (!t->unwinds) return {"its function was compiled without exceptions: no destructor would run", 0};
  if (!runtime::has_room_to_unwind(*t)) return {"too little of its stack is left", 0};
  way_out way = dry_run(*t, ends);
  if (way.obstacle != nullptr) return {way.obstacle, way.at};
  if (!sync::withdraw(t, w)) return {"it was woken meanwhile: the verdict was wrong", 0};
  auto* u = ::new (static_cast<void*>(t->closure)) unwinding{};
  std::memcpy(&u->exception.exception_class, "STRAYRCL", sizeof u->exception.exception_class);
  u->end = way.end;
  u->of = of;
  u->place = place;
  of->references.fetch_add(1);
  t->being_unwound = true;
  runtime::divert(t, unwind);
  return {};
}

refusal take(const finding& f, batch* of, std::size_t place, terminate_calls& ends) {
  task* t = runtime::tasks().at(f.record);
  if (!runtime::await_inspection(t, f.wait)) return {"it was woken meanwhile: the verdict was wrong", 0};
  refusal r;
  try {
    r = take_inspected(t, f.wait, of, place, ends);
  } catch (...) {
    runtime::end_inspection(t);
    throw;
  }
  runtime::end_inspection(t);
  if (r.reason == nullptr) runtime::make_runnable(t);
  return r;
}

std::string function_at(std::uintptr_t return_address) {
  return return_address == 0 ? std::string()
                             : profile::symbolize(return_address - 1).back().function;  // not what is inlined in it
}

// The choice among those whom both detections named. Runs on the detector's thread.
//
// The end of one may wake another (finding::wakers), which may then wake a third. So nobody is taken while somebody ends who might, on
// whatever way, wake it; and all of the leaked stand on these ways, also those that are not to be taken.
class selection {
 public:
  selection(const findings& f, std::size_t budget, batch* of) : found_(f), left_(budget), of_(of) {
    for (const finding& one : f.list) all_[one.wait.task].found = &one;
    if (f.main) all_[f.main->wait.task].found = &*f.main;
  }

  void add(const finding* f, reclaim_report::goroutine* out, std::size_t place) {
    task_here& t = all_[f->wait.task];
    t.out = out;
    t.place = place;
  }
  void run() {
    for (auto& [id, t] : all_) settle(t);
    for (auto& [id, t] : all_) {
      if (t.state == task_here::unsure) decide_unsure(t);
    }
  }

 private:
  struct task_here {
    const finding* found = nullptr;
    reclaim_report::goroutine* out = nullptr;  // null: it is not to be taken
    std::size_t place = 0;                     // of out in the report
    // unsure: not all that might wake it are known, or one of them is so.
    enum : std::uint8_t { open, visited, unsure, settled } state = open;
    bool moves = false;  // settled: it ends, or may wake when others end
  };
  task_here* find(std::uint64_t task_id) {
    auto at = all_.find(task_id);
    return at == all_.end() ? nullptr : &at->second;
  }

  // Those that might wake it first, depth first. Who is met again on the way stands in a cycle, of which the first to be decided is taken.
  void settle(task_here& first) {
    struct step {
      task_here* of;
      std::uint8_t next = 0;  // of its wakers
    };
    std::vector<step> way;
    auto go_to = [&](task_here* t) {
      if (t == nullptr || t->state != task_here::open) return;
      t->state = task_here::visited;
      way.push_back({t});
    };
    go_to(&first);
    while (!way.empty()) {
      const few_ids& wakers = way.back().of->found->wakers;
      if (way.back().next < wakers.count) {
        go_to(find(wakers.at[way.back().next++]));
        continue;
      }
      task_here& t = *way.back().of;
      way.pop_back();
      decide(t);
    }
  }

  void decide(task_here& t) {
    const few_ids& wakers = t.found->wakers;
    bool sure = wakers.all_known;
    for (std::uint8_t i = 0; i < wakers.count; i++) {
      const task_here* w = find(wakers.at[i]);
      if (w == nullptr || w == &t) continue;
      if (w->state == task_here::settled && w->moves) {
        return put_off(t, (w->found->thread ? "thread " : "goroutine ") + std::to_string(w->found->id) +
                              ", which might wake it, ends or may wake: look again");
      }
      sure = sure && w->state != task_here::unsure;
    }
    if (sure) return take_it(t);
    t.state = task_here::unsure;
  }
  // When nobody ends, nobody can wake it.
  void decide_unsure(task_here& t) {
    if (any_taken_) return put_off(t, "others end that might wake it: look again");
    take_it(t);
  }

  void put_off(task_here& t, std::string why) {
    t.state = task_here::settled;
    t.moves = true;
    if (t.out == nullptr) return;
    t.out->outcome = reclaim_outcome::deferred;
    t.out->reason = std::move(why);
  }
  void take_it(task_here& t) {
    t.state = task_here::settled;
    if (t.out == nullptr) return;
    if (left_ == 0) {
      t.out->reason = "beyond the budget of this call";
      return;
    }
    if (!unlisted_) {
      unlisted_ = true;
      forget_proofs();
      for (const finding& f : found_.list) runtime::unlist(runtime::tasks().at(f.record), f.wait);
    }
    refusal r = take(*t.found, of_, t.place, ends_);
    if (r.reason == nullptr) {
      left_--;
      t.moves = any_taken_ = true;
      t.out->outcome = reclaim_outcome::unwinding;
      return;
    }
    t.out->reason = r.reason;
    t.out->function = function_at(r.at);
  }

  const findings& found_;
  std::size_t left_;
  batch* of_;
  terminate_calls ends_;
  std::map<std::uint64_t, task_here> all_;
  bool unlisted_ = false, any_taken_ = false;
};

void choose(const report& r, const findings& second, const reclaim_options& o, batch* of, reclaim_report& out,
            std::vector<std::size_t>& taken) {
  std::map<wait_id, const finding*> by_wait;
  for (const finding& f : second.list) by_wait[f.wait] = &f;
  std::size_t n = 0;
  for (const group& g : r.groups()) n += g.goroutines.size();
  out.goroutines.reserve(n);  // they are pointed to
  of->gone = std::make_unique<std::atomic<bool>[]>(n);
  selection chosen(second, o.budget, of);
  for (const group& g : r.groups()) {
    for (const goroutine& one : g.goroutines) {
      reclaim_report::goroutine& entry = out.goroutines.emplace_back();
      entry.id = one.id;
      auto at = by_wait.find(one.identity());
      const finding* found = at == by_wait.end() ? nullptr : at->second;
      if (one.thread) {
        entry.reason = "an OS thread is never reclaimed";
      } else if (found == nullptr) {
        entry.reason = "a second detection does not find it leaked in the same wait";
      } else if (g.tier < tier::cycle || found->tier < tier::cycle) {
        entry.reason = "it is not proven";
      } else if (found->proven_before) {
        entry.reason = "an earlier detection has proven it, the second one does not: leak::why shows the word in the way";
      } else {
        chosen.add(found, &entry, out.goroutines.size() - 1);
      }
    }
  }
  chosen.run();
  for (std::size_t i = 0; i < n; i++) {
    if (out.goroutines[i].outcome == reclaim_outcome::unwinding) taken.push_back(i);
  }
}

constexpr int most_tries = 32;  // each one that is made again means that others have reclaimed somebody

void put_off(const report& r, reclaim_report& out) {
  for (const group& g : r.groups()) {
    for (const goroutine& one : g.goroutines)
      out.goroutines.push_back(
          {one.id, reclaim_outcome::deferred, "other calls of reclaim were faster each time: look again", {}});
  }
}

}  // namespace

reclaim_report reclaim_now(const report& r, const reclaim_options& o) {
  reclaim_report out;
  out.notes = r.notes();
  if (!runtime::started() || r.total() == 0) return out;
  std::unique_ptr<batch, drop_batch> of(new batch);
  std::vector<std::size_t> taken;
  bool chosen = false;
  for (int tries = 0; !chosen && tries < most_tries; tries++) {
    std::shared_ptr<const findings> second = detect({}, o.pause_budget.count());
    out.notes = second->notes;
    on_detector([&] {
      chosen = !is_forgotten(*second);
      if (chosen) choose(r, *second, o, of.get(), out, taken);
      second.reset();
    });
  }
  if (!chosen) put_off(r, out);
  time_point end = detail::timer_after(o.wait.count() > 0 ? o.wait.count() : 0);
  for (std::size_t n = taken.size(); n != 0; n--) {
    if (!of->ended.try_acquire_for(end - detail::timer_after(0))) break;
  }
  for (std::size_t i : taken) {
    reclaim_report::goroutine& one = out.goroutines[i];
    if (of->gone[i]) {
      one.outcome = reclaim_outcome::reclaimed;
    } else {
      one.reason = "it has not ended yet: it runs its destructors, or blocks in one";
    }
  }
  count_refused(out.count(reclaim_outcome::refused));
  return out;
}

const char* to_string(reclaim_outcome o) noexcept {
  switch (o) {
    case reclaim_outcome::reclaimed:
      return "reclaimed";
    case reclaim_outcome::unwinding:
      return "unwinding";
    case reclaim_outcome::deferred:
      return "deferred";
    case reclaim_outcome::refused:
      return "refused";
  }
  return "?";
}

std::size_t reclaim_report::count(reclaim_outcome o) const noexcept {
  return static_cast<std::size_t>(
      std::count_if(goroutines.begin(), goroutines.end(), [o](const goroutine& g) { return g.outcome == o; }));
}

std::ostream& operator<<(std::ostream& out, const reclaim_report& r) {
  out << r.count(reclaim_outcome::reclaimed) << " of " << r.goroutines.size() << " reclaimed\n";
  for (const reclaim_report::goroutine& g : r.goroutines) {
    out << "goroutine " << g.id << " " << to_string(g.outcome);
    if (!g.reason.empty()) out << ": " << base::printable(g.reason);
    if (!g.function.empty()) out << " (" << base::printable(g.function) << ")";
    out << "\n";
  }
  for (const std::string& n : r.notes) out << "note: " << base::printable(n) << "\n";
  return out;
}

}  // namespace stray::leak
