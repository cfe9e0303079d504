// From words in live memory to the tasks that they can wake. Pure; runs in the snapshot.
//
// 1. A node becomes live once, and is then in `order` for good. Its stack, its closure and its place in queues of locks follow at once.
// 2. What the marker meets comes in through locate, hit, reached and covered (trace/client.h). They push on the marker's work list and
//    never drain it.
// 3. A live holder of a handle can do what its kind allows: the table "What a leak is" in docs/design/README.md.
#pragma once

#include <stray/detail/handle.hpp>
#include "leak/classify/blame.h"
#include "leak/classify/path.h"
#include "leak/model/wait_graph.h"
#include "trace/mark.h"

namespace stray::leak {

class liveness {
 public:
  // path: where to record how each node was reached; null: nowhere.
  liveness(wait_graph& graph, trace::bump& memory, path_request* path) noexcept : g_(graph), memory_(memory), path_(path) {}

  // After the graph is filled, before the first word is met. false: out of memory.
  bool index_embedded() noexcept;
  // After the first pass: which cores are exact (classify.h 2). Where threads were only looked at, handles that were not located lie in
  // frames unseen, and stale words must not hide what those could refute: then all are.
  void finalize_counts(bool count_rule, bool only_looked) noexcept;

  void locate(const trace::word& w) noexcept;
  void hit(trace::marker& m, const trace::word& w) noexcept;
  void reached(trace::marker& m, const trace::word& w) noexcept;
  void covered(trace::marker& m, base::range live) noexcept;

  void make_live(trace::marker& m, std::uint32_t number, const arrival& how) noexcept;
  void enter(trace::marker& m, std::uint32_t number, const arrival& how) noexcept;

  const trace::list<std::uint32_t>& order() const noexcept { return order_; }  // in which nodes became live
  trace::slice<const waited_on> embedded() const noexcept { return {embedded_.data, embedded_.size}; }

 private:
  void note_live(std::uint32_t number, const arrival& how) noexcept;
  void wake_list(trace::marker& m, std::uint32_t head, const arrival& how) noexcept;
  void use_core(trace::marker& m, core_state& c, detail::handle_kind kind, const arrival& how) noexcept;

  wait_graph& g_;
  trace::bump& memory_;
  path_request* path_;
  trace::slice<waited_on> embedded_;  // by address
  trace::list<std::uint32_t> order_;
};

}  // namespace stray::leak
