// The looks of the census (report/wait_census.h) at all goroutines and threads that wait.
#include "base/clock.h"
#include "leak/goroutines/stacks.h"
#include "leak/model/wait_census.h"
#include "runtime/park.h"

namespace stray::leak {

namespace {

wait_census*& census_pointer() {  // it may outlive statics
  static auto* census = new wait_census;
  return census;
}

void look_at(wait_census& c, std::size_t record, runtime::task& t, thread_stacks& threads, std::int64_t begun_ns) {
  const std::uint64_t word = t.word.load();
  if (runtime::word::state_of(word) != runtime::state::waiting) return;
  const std::uint64_t seq = runtime::word::seq_of(word);
  if ((word & runtime::word::listed) != 0) return c.pass(record, seq);
  if (c.still_waits(record, seq)) return;
  if (!runtime::await_inspection(&t, t.wait(word))) return;
  const bool counts = runtime::eligible(t.reason) && !t.is_main;
  const std::int64_t since = t.wait_since_ns;
  const bool is_old = since <= begun_ns;
  wait_census::site_key site(runtime::text_of(t.reason), {});
  if (counts && is_old) site.second = read_stack(t, threads);
  runtime::end_inspection(&t);
  if (counts && !is_old) return;
  if (counts) {
    c.add(record, seq, since, std::move(site));
  } else {
    c.pass(record, seq);
  }
}

}  // namespace

const wait_census& look_at_waits(std::int64_t least_ns) {
  wait_census& c = *census_pointer();
  const std::int64_t now_ns = base::now_ns();
  c.begin(now_ns);
  thread_stacks threads;
  base::slab<runtime::task>& all = runtime::tasks();
  for (std::size_t i = 1; i < all.used(); i++) look_at(c, i, *all.at(i), threads, now_ns - least_ns);
  c.end();
  return c;
}

void forget_waits() { census_pointer() = new wait_census; }  // the old one may be half written

}  // namespace stray::leak
