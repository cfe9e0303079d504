// For the tests of reclaim: what blocks for ever, and what is expected of its end.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <stray/stray.hpp>
#include "leak/model/findings.h"
#include "runtime/park.h"
#include "runtime/task.h"

namespace stray::leak::test {

using namespace std::chrono_literals;
using leak::reclaim_outcome;
using leak::reclaim_report;
using leak::report;

// What a test starts, by id: those that other tests had refused stay leaked.
template <class F>
[[gnu::noinline]] std::uint64_t start(F f) {
  auto id = stray::make_chan<std::uint64_t>(1);
  stray::go([id, f = std::move(f)]() mutable {
    id.send(stray::goroutine_id());
    f();
  });
  return *id.recv();
}

// Only these, as soon as all of them are found.
inline report until_found(const std::vector<std::uint64_t>& ids) {
  for (;;) {
    report r = find();
    std::size_t n = 0;
    for (const group& g : r.groups()) {
      for (const goroutine& one : g.goroutines) n += static_cast<std::size_t>(std::count(ids.begin(), ids.end(), one.id));
    }
    if (n == ids.size()) return r;
    stray::yield();
  }
}

inline bool is_found(std::uint64_t id) {
  report r = find();
  for (const group& g : r.groups()) {
    for (const goroutine& one : g.goroutines) {
      if (one.id == id) return true;
    }
  }
  return false;
}

inline bool exists(std::uint64_t id) {
  auto& all = stray::runtime::tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    auto state = all.at(i)->current_state();
    if (all.at(i)->id == id && state != stray::runtime::state::free && state != stray::runtime::state::dead) return true;
  }
  return false;
}
inline void until_gone(std::uint64_t id) {
  while (exists(id)) stray::yield();
}

inline const reclaim_report::goroutine& of(const reclaim_report& r, std::uint64_t id) {
  for (const reclaim_report::goroutine& g : r.goroutines) {
    if (g.id == id) return g;
  }
  static const reclaim_report::goroutine none;
  ADD_FAILURE() << "goroutine " << id << " is not in the report";
  return none;
}

inline std::string text_of(const reclaim_report& r) {
  std::ostringstream text;
  text << r;
  return std::move(text).str();
}

struct counts_end {
  std::atomic<int>* ends;
  explicit counts_end(std::atomic<int>* n) : ends(n) {}
  counts_end(const counts_end&) = delete;
  counts_end& operator=(const counts_end&) = delete;
  ~counts_end() { ends->fetch_add(1); }
};

// f blocks for ever; its frames are unwound, and nothing of it is left.
template <class F>
void expect_reclaimed(F f) {
  static std::atomic<int> ends;
  ends = 0;
  std::uint64_t wrong = stray::runtime::wrong_verdicts();
  std::size_t before = stray::num_goroutine();
  std::uint64_t id = start([f = std::move(f)]() mutable {
    counts_end outer(&ends);
    auto inner = std::make_unique<counts_end>(&ends);
    f();
    ends = 1000;  // it has returned
  });
  reclaim_report r = reclaim(until_found({id}), {.wait = 1min});
  EXPECT_EQ(of(r, id).outcome, reclaim_outcome::reclaimed) << of(r, id).reason << ": " << of(r, id).function;
  EXPECT_EQ(ends.load(), 2);
  EXPECT_EQ(stray::num_goroutine(), before);
  until_gone(id);
  EXPECT_FALSE(is_found(id));
  EXPECT_EQ(stray::runtime::wrong_verdicts(), wrong);
}

template <class F>
void expect_refused(F f, const std::string& reason, const std::string& function) {
  std::uint64_t id = start(std::move(f));
  report found = until_found({id});
  for (int round = 0; round < 2; round++) {
    reclaim_report r = reclaim(found);
    EXPECT_EQ(of(r, id).outcome, reclaim_outcome::refused);
    EXPECT_NE(of(r, id).reason.find(reason), std::string::npos) << of(r, id).reason;
    if (function.empty()) {
      EXPECT_EQ(of(r, id).function, "");
    } else {
      EXPECT_NE(of(r, id).function.find(function), std::string::npos) << of(r, id).function;
    }
    until_found({id});  // it was left as it was
  }
}

[[gnu::noinline]] inline void block() { stray::make_chan<int>().recv(); }

}  // namespace stray::leak::test
