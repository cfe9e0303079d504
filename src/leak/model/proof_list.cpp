#include "leak/model/proof_list.h"

#include <algorithm>

#include "leak/model/task_source.h"

namespace stray::leak {

namespace {

std::uint32_t named(std::uint32_t owner_count) noexcept { return std::min(owner_count, verdict::owners_named); }

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
    if ((at != now.end() && *at == p.wait) || !sources()[p.source].waits_still(p.record, p.wait)) continue;
    out.push_back(as_verdict(p));
  }
  return out;
}

void proof_list::add(const verdict& v) {
  auto first = static_cast<std::uint32_t>(owners_.size());
  owners_.insert(owners_.end(), v.owner_ids, v.owner_ids + named(v.owner_count));
  list_.push_back({v.wait, v.waits_for, v.root, v.heap_bytes, first, v.owner_count, v.record, v.source, v.reason, v.for_reading,
                   v.ring, v.tier});
}

verdict proof_list::as_verdict(const proof& p) const noexcept {
  verdict v{};
  v.record = p.record;
  v.source = p.source;
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

}  // namespace stray::leak
