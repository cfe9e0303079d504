// Dumps and samples of goroutines: what debug=2 and the goroutine profile show, and what a dying process prints.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <set>

#include "base/clock.h"
#include "base/first_failure.h"
#include "base/sync_shim.h"
#include "leak/goroutines/dump.h"
#include "leak/goroutines/in_system_call.h"
#include "leak/goroutines/stacks.h"
#include "leak/model/findings.h"
#include "profile/symbolize.h"
#include "runtime/current.h"
#include "runtime/park.h"

namespace stray::leak {

namespace {

using runtime::state;
using runtime::task;

std::int64_t minutes_blocked(const task& t) {
  std::int64_t age = base::now_ns() - t.wait_since_ns;
  return age > 0 ? age / 60'000'000'000 : 0;
}

std::string name_of_thread(int tid) {
  char path[64], name[32] = {};
  std::snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
  if (std::FILE* f = std::fopen(path, "r")) {
    if (std::fgets(name, sizeof name, f) != nullptr) name[std::strcspn(name, "\n")] = '\0';
    std::fclose(f);
  }
  return name;
}

bool is_at_work(state s) noexcept { return s == state::running || s == state::parking; }

// As await_inspection, but not without end: a dying process may have died while it inspected.
bool inspect(task* t, wait_id w) {
  for (int tries = 0; tries < 1000; tries++) {
    if (runtime::begin_inspection(t, w)) return true;
    if (t->current_state() != state::waiting) return false;
    base::yield_core();
  }
  return false;
}

// One entry of a task that exists, and the wait that it is in; false: it ended or is none of those shown.
bool describe(task* t, const task* self, const system_calls& calls, thread_stacks& threads, profile::stack_entry& e,
              wait_id& wait) {
  std::uint64_t word = t->word.load();
  wait = t->wait(word);
  state now = runtime::word::state_of(word);
  if (now == state::free || now == state::dead || now == state::init) return false;
  if (t->is_thread && now != state::waiting && t != self) return false;  // a thread at work is no goroutine
  e.id = t->is_thread ? static_cast<std::uint64_t>(t->tid) : t->id;
  if (t->is_thread) e.thread_name = name_of_thread(t->tid);
  e.created_by_pc = t->created_by;
  e.creator_id = t->creator_id;
  if (t == self) {
    e.state = "running";
    e.pcs = own_stack();
    e.labels = read_labels(*t);
    return true;
  }
  if (now == state::waiting && inspect(t, wait)) {
    e.state = runtime::text_of(t->reason);
    e.minutes = minutes_blocked(*t);
    e.pcs = read_stack(*t, threads);
    e.labels = read_labels(*t);
    bool asks = t->reason == runtime::wait_reason::internal;
    runtime::end_inspection(t);
    return !t->is_thread || !asks;  // nor is one that asks the detector
  }
  if (t->is_thread) return false;
  bool runs = is_at_work(now);
  if (auto asleep = calls.find(t); runs && asleep != calls.end() && asleep->second.during == wait) {
    e.state = asleep->second.state();
    e.pcs = asleep->second.pcs;
    if (!e.pcs.empty()) return true;
  }
  if (e.state.empty()) e.state = runs ? "running" : "runnable";
  e.no_stack = runs ? "goroutine running on other thread; stack unavailable" : "goroutine about to run; stack unavailable";
  return true;
}

}  // namespace

std::vector<profile::stack_entry> all_stacks(const findings* f, bool only_leaked, bool own_thread) {
  std::set<wait_id> leaked;
  if (f != nullptr) {
    for (const finding& x : f->list) {
      if (x.tier >= tier::cycle) leaked.insert(x.wait);
    }
  }
  std::vector<profile::stack_entry> first, rest;
  const system_calls calls = only_leaked ? system_calls() : goroutines_in_system_calls();  // who is leaked waits in a primitive
  const task* self = f == nullptr ? runtime::current_task_or_null() : nullptr;
  if (self != nullptr && self->is_thread && !own_thread) self = nullptr;
  thread_stacks threads;
  base::slab<task>& all = runtime::tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    profile::stack_entry e;
    wait_id wait;
    base::report_grows();
    if (!describe(all.at(i), self, calls, threads, e, wait)) continue;
    bool is_leaked = !e.pcs.empty() && leaked.count(wait) != 0;
    if (is_leaked) e.state += " (leaked)";
    if (only_leaked && !is_leaked) continue;
    (is_leaked || all.at(i) == self ? first : rest).push_back(std::move(e));
  }
  first.insert(first.end(), std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
  return first;
}

std::map<std::string_view, std::size_t> goroutines_by_state() {
  std::map<std::string_view, std::size_t> counts;
  base::slab<task>& all = runtime::tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    task* t = all.at(i);
    state now = t->current_state();
    if (t->is_thread || now == state::free || now == state::dead || now == state::init) continue;
    if (now == state::waiting) {
      counts[runtime::text_of(std::atomic_ref(t->reason).load(std::memory_order_relaxed))]++;  // order: a figure only
    } else {
      counts[is_at_work(now) ? "running" : "runnable"]++;
    }
  }
  return counts;
}

std::vector<profile::sample> goroutine_samples() {
  std::map<std::pair<std::vector<std::uintptr_t>, std::vector<profile::label>>, std::int64_t> counts;
  for (profile::stack_entry& e : all_stacks(nullptr, false)) {
    if (e.pcs.empty() && e.created_by_pc != 0) e.pcs.push_back(e.created_by_pc);
    if (!e.pcs.empty()) counts[{e.pcs, e.labels}]++;
  }
  std::vector<profile::sample> out;
  for (auto& [key, n] : counts) {
    profile::sample s;
    s.pcs = key.first;
    s.labels = key.second;
    s.count = n;
    out.push_back(std::move(s));
  }
  return out;
}

}  // namespace stray::leak
