// Writes verdicts into the log that parent and child share. Pure; runs in the snapshot.
#pragma once

#include "leak/classify/blame.h"
#include "leak/model/verdict.h"
#include "leak/model/wait_graph.h"

namespace stray::leak {

class verdict_writer {
 public:
  verdict_writer(const wait_graph& graph, verdict_log& log) noexcept : g_(graph), log_(log) {}

  // From now on verdicts carry causes; none when there was no memory for them.
  void explain_by(trace::slice<blame> blames) noexcept { blames_ = blames; }
  void write(std::uint32_t number, verdict_tier tier, grounds reason, std::uintptr_t at) noexcept;
  // Of a candidate that no stage has reached: proven, or a cycle.
  void write_leak(std::uint32_t number) noexcept;

 private:
  grounds reason_of(std::uint32_t number) const noexcept;
  bool is_meant(const lock_edge& e, grounds reason) const noexcept;
  void name_owners(std::uint32_t number, verdict& v) const noexcept;
  void name_cause(const blame& b, verdict& v) const noexcept;

  const wait_graph& g_;
  verdict_log& log_;
  trace::slice<blame> blames_;
};

}  // namespace stray::leak
