#include "sync/withdraw.h"

#include <algorithm>
#include <vector>

#include "runtime/park.h"
#include "sync/chan_core.h"
#include "sync/owner.h"
#include "sync/parking_table.h"

namespace stray::sync {

namespace {

using runtime::task;
using runtime::wait_node;
using runtime::wait_reason;

bool from_channels(task* t, wait_id w) {
  std::vector<chan_core*> cores;
  cores.reserve(t->node_count);
  for (std::uint32_t i = 0; i < t->node_count; i++) cores.push_back(reinterpret_cast<chan_core*>(t->nodes[i].primitive));
  std::sort(cores.begin(), cores.end());  // the order of select
  cores.erase(std::unique(cores.begin(), cores.end()), cores.end());
  for (chan_core* c : cores) c->lock.lock();
  bool mine = runtime::try_claim(t, w.seq);
  for (std::uint32_t i = 0; mine && i < t->node_count; i++) {
    wait_node& n = t->nodes[i];
    auto* c = reinterpret_cast<chan_core*>(n.primitive);
    if (n.linked) (n.sends ? c->sendq : c->recvq).remove(&n);
  }
  for (chan_core* c : cores) c->lock.unlock();
  return mine;
}

bool from_table(task* t, wait_id w) {
  wait_node* n = t->nodes;
  bool writes = t->reason == wait_reason::rwmutex_lock;
  std::uintptr_t hashed = n->primitive - (writes ? shared_word::offset : 0);  // both queues lie in the bucket of the lock word
  parking_bucket& bucket = bucket_of(reinterpret_cast<const void*>(hashed));
  claimed_list woken;
  bucket.lock.lock();
  bool mine = writes ? withdraw_writer(t, w, bucket, woken) : runtime::try_claim(t, w.seq);
  if (mine && !writes && n->linked) {
    bucket.remove(n);
    if (t->reason == wait_reason::cond_wait) reinterpret_cast<std::atomic<std::uint64_t>*>(n->primitive)->fetch_sub(1);
  }
  bucket.lock.unlock();
  woken.make_runnable();
  return mine;
}

}  // namespace

bool withdraw(task* t, wait_id w) {
  if (t->node_count == 0) return runtime::try_claim(t, w.seq);
  return runtime::is_on_channels(t->reason) ? from_channels(t, w) : from_table(t, w);
}

}  // namespace stray::sync
