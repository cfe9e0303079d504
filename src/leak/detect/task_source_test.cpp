// A source of three tasks that are nothing but records: the detector gives them verdicts, causes and a place in the report, knowing no more of
// them than task_source says.
#include "leak/model/task_source.h"

#include <array>
#include <gtest/gtest.h>
#include <memory>

#include <stray/stray.hpp>
#include "leak/detect/detection.h"
#include "leak/detect/detector.h"
#include "leak/goroutines/host.h"

namespace {

using namespace stray::leak;
using stray::wait_id;

struct toy_task {
  std::uint64_t id;
  live_rule rule = live_rule::reference;
  std::uintptr_t not_primitive = 0;  // the complement: a record here lies in a global, which is a root
  std::uint32_t owner = no_node;     // rule owner: record of the one that holds it
  stray::base::range stack{};        // in hidden memory
};

// Ids beyond all that the runtime gives.
constexpr std::uint64_t first_id = std::uint64_t{1} << 50;

class toy_source final : public task_source {
 public:
  std::array<toy_task, 3> tasks;
  std::uint64_t wait_number = 1;
  int described = 0;

  std::size_t candidates() const noexcept override { return tasks.size(); }
  std::size_t records() const noexcept override { return tasks.size(); }
  frozen_source look() override { return {this, count, fill}; }
  bool waits_still(std::uint32_t record, wait_id w) const noexcept override { return w == wait_of(record); }
  std::optional<finding> describe(std::uint32_t record, wait_id w, thread_stacks&, bool) override {
    if (w != wait_of(record)) return std::nullopt;
    described++;
    finding f;
    f.id = tasks[record].id;
    f.wait = w;
    f.waits = "a toy";
    f.kind = tasks[record].rule == live_rule::owner ? wait_kind::lock : wait_kind::other;
    f.pcs = {reinterpret_cast<std::uintptr_t>(&toy_source::count) + 1};
    return f;
  }
  std::vector<wait_ref> waiting() const override { return {}; }
  std::optional<task_state> state_of(std::uint64_t) const override { return std::nullopt; }
  std::string state_of_primitive(const finding&) const override { return "; it is made of wood"; }

 private:
  wait_id wait_of(std::uint32_t record) const noexcept { return wait_id(tasks[record].id, wait_number); }
  static const toy_source& of(const void* self) noexcept { return *static_cast<const toy_source*>(self); }
  static std::size_t count(const void* self) noexcept { return of(self).tasks.size(); }
  static bool fill(const void* self, const source_part& part, stray::trace::bump& memory, wait_graph& g) noexcept {
    for (std::uint32_t i = 0; i < part.nodes.size; i++) {
      const toy_task& t = of(self).tasks[i];
      node& n = part.nodes[i];
      n = node{};
      n.source = part.source;
      n.record = i;
      n.id = t.id;
      n.seq = of(self).wait_number;
      n.what = node::candidate;
      n.rule = t.rule;
      n.stack = t.stack;
      g.candidates++;
      if (!g.add_wait(memory, part.first + i, ~t.not_primitive, false)) return false;
    }
    for (std::uint32_t i = 0; i < part.nodes.size; i++) {
      const toy_task& t = of(self).tasks[i];
      if (t.rule == live_rule::owner && !g.add_owner(memory, part.first + i, part.first + t.owner, of(self).tasks[t.owner].id))
        return false;
    }
    return true;
  }
};

struct plugged {
  toy_source& toys;
  explicit plugged(toy_source& t) : toys(t) {
    start_runtime();
    on_detector([&] { add_source(toys); });
  }
  ~plugged() {
    on_detector([&] {
      remove_source(toys);
      forget_proofs();
    });
  }
};

const goroutine* find_task(const report& r, std::uint64_t id, const group** of = nullptr) {
  for (const group& g : r.groups()) {
    for (const goroutine& one : g.goroutines) {
      if (of != nullptr) *of = &g;
      if (one.id == id) return &one;
    }
  }
  return nullptr;
}

// 0 waits for a block that only its own stack refers to, 1 for a lock that 0 holds, 2 for a block that a global and its stack refer to.
toy_source toys;
std::unique_ptr<long> alive;

// A stack with one word.
stray::base::range stack_with(const void* word) {
  static const stray::base::range all = [] {
    const stray::base::range r = stray::base::carve(stray::base::page_size);
    EXPECT_TRUE(stray::base::commit(r.lo, r.size()));
    return r;
  }();
  static std::uintptr_t used = 0;
  const std::uintptr_t at = all.lo + used++ * sizeof word;
  *reinterpret_cast<const void**>(at) = word;
  return {at, at + sizeof word};
}
std::uintptr_t hidden(const void* address) { return ~reinterpret_cast<std::uintptr_t>(address); }

[[gnu::noinline]] void set_up() {
  alive = std::make_unique<long>(0);
  const void* lost = std::malloc(32);
  toys.tasks = {{{first_id, live_rule::reference, hidden(lost), no_node, stack_with(lost)},
                 {first_id + 1, live_rule::owner, hidden(nullptr), 0},
                 {first_id + 2, live_rule::reference, hidden(alive.get()), no_node, stack_with(alive.get())}}};
}

TEST(task_source, three_toys_get_verdicts_causes_and_a_report) {
  set_up();
  plugged source(toys);
  const report r = find();
  EXPECT_TRUE(r.complete());
  const group *lost = nullptr, *locked = nullptr;
  ASSERT_NE(find_task(r, first_id, &lost), nullptr) << r;
  EXPECT_EQ(lost->tier, tier::proven);
  EXPECT_EQ(lost->wait_reason, "a toy");
  EXPECT_NE(lost->cause.find("nothing alive refers to what it waits on"), std::string::npos) << lost->cause;
  EXPECT_NE(lost->cause.find("; it is made of wood"), std::string::npos) << lost->cause;
  EXPECT_NE(lost->cause.find("1 other is leaked because of it"), std::string::npos) << lost->cause;
  ASSERT_NE(find_task(r, first_id + 1, &locked), nullptr) << r;
  EXPECT_NE(locked->cause.find("held by goroutine " + std::to_string(first_id) + ", which is itself leaked"), std::string::npos)
      << locked->cause;
  EXPECT_EQ(find_task(r, first_id + 2), nullptr) << r;
}

TEST(task_source, what_becomes_unreachable_is_found_and_what_moved_on_is_not) {
  set_up();
  plugged source(toys);
  static_cast<void>(hidden(alive.release()));
  EXPECT_NE(find_task(find(), first_id + 2), nullptr) << find();
  toys.wait_number++;  // all have been woken, and wait once more
  alive = std::make_unique<long>(0);
  toys.tasks[2].not_primitive = hidden(alive.get());
  toys.tasks[2].stack = stack_with(alive.get());
  EXPECT_EQ(find_task(find(), first_id + 2), nullptr);
}

TEST(task_source, goroutines_are_found_beside_it) {
  set_up();
  plugged source(toys);
  stray::go([] { stray::make_chan<int>().recv(); });
  for (int i = 0; i < 1000; i++) {
    const report r = find();
    if (r.total() == 3) return;
    stray::yield();
  }
  FAIL() << find();
}

}  // namespace
