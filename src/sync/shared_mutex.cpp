// Two words: who writes (holds the lock or has announced itself), and {readers, flags}. Without contention lock and unlock are one
// read-modify-write each way; a reader's, if it holds no other shared lock, in the header. Every waiter queues in the parking table.
//
//   writer                                              reader
//   `writer` 0 -> 1 by CAS, with `draining` if there     record the hold (runtime/read_holds.h)
//   are readers; writer_ := id                          count up; if `writer` was set: count down, forget, and queue
//   not draining: it holds the lock, else it waits      ...
//   ...                                                 count down; forget the hold
//   writer_ := 0, then `writer` 1 -> 0                  the last one, if `draining`: hands the lock to the writer, if that is queued
//
// The writer that unlocks makes all queued readers holders, and wakes the first queued writer, which starts anew; if that has asked for it
// (`handoff`, after 1 ms), it announces it in the same step.
//
// 1. writer_ != 0: this task holds the lock, or (`draining`) has announced itself and waits for the readers only. Between the flag and
//    writer_ it is 0: to the detector no owner, so all that wait are live.
// 2. Without `writer` no reader is queued, and a writer only (`waiters`) if another one was woken to start anew: its unlock wakes the next.
//    Readers queue under &writer_ and wait for its owner (rule owner); writers under &state_: behind another writer for that one (rule
//    owner), the announced one for all readers (rule readers; it is the first of the queue, if queued).
// 3. `draining` is cleared under the bucket's lock only: by a writer that finds no reader before it queues, else by the last reader, which
//    claims it. Only if a writer is queued does the last reader touch the lock: another one may have been the last again (rule 6), handed
//    over, and the writer has destroyed it.
// 4. A waker claims first, then records the holds of readers, then changes the words (CLAIM, and rule 2 of read_holds.h).
// 5. While `writer` is set, the flags change under the bucket's lock only, but for the unlock of one without waiters. The count changes at
//    any time: so whoever writes state_ adds to it.
// 6. A count that is no hold (its reader has met a writer and takes it back) is that of a running task, which is live to the detector. Who
//    brings the count to 0 hands over, whatever its count was.
// 7. A writer that is withdrawn while it drains (withdraw.h) passes its announcement on, or takes it back.
// Rejected: counting up by CAS, so that each count is a hold (16 ns instead of 13 for both); a queue of readers and writers mixed: letting
// readers in walks over all the writers; to announce the next writer at each unlock, so that whoever unlocks blocks at its next operation
// (two workers, one write in ten: 290 ns an operation instead of 19); to spin before parking (one in a hundred: 31 ns instead of 18).
#include <stray/shared_mutex.hpp>

#include "base/check.h"
#include "base/clock.h"
#include "runtime/current.h"
#include "runtime/park.h"
#include "sync/owner.h"
#include "sync/parking_table.h"
#include "sync/withdraw.h"

namespace stray {

namespace {

using runtime::hold_slot;
using runtime::task;
using runtime::wait_node;
using word_type = std::atomic<std::uint64_t>;
namespace lock_word = sync::lock_word;
namespace shared_word = sync::shared_word;

std::uintptr_t key(const word_type& w) noexcept { return reinterpret_cast<std::uintptr_t>(&w); }

// The bucket is locked. false: there is no writer any more.
bool flag_waiters(word_type& state, std::uint64_t flags) noexcept {
  std::uint64_t w = state.load();
  while ((w & shared_word::writer) != 0 && !state.compare_exchange_weak(w, w | flags)) {
  }
  return (w & shared_word::writer) != 0;
}

// The bucket is locked and `writer` set. Those that count up or down meanwhile are not lost.
void set_flags(word_type& state, std::uint64_t flags, std::uint64_t more_readers) noexcept {
  state.fetch_add(more_readers * shared_word::reader + flags - (state.load() & shared_word::flags));
}

wait_node* prepare(task* self, runtime::wait_reason reason, std::uintptr_t queue) noexcept {
  wait_node* n = &self->node;
  n->owner = self;
  n->primitive = queue;
  n->slot = nullptr;
  runtime::prepare_wait(self, reason, n, 1);
  return n;
}

// The announced writer waits until the readers have left.
void drain(word_type& writer, word_type& state, task* self) {
  sync::parking_bucket& bucket = sync::bucket_of(&writer);
  bucket.lock.lock();
  if (shared_word::readers(state.load()) == 0) {
    state.fetch_sub(shared_word::draining);
    bucket.lock.unlock();
    return;
  }
  bucket.push_front(prepare(self, runtime::wait_reason::rwmutex_lock, key(state)));
  bucket.lock.unlock();
  runtime::park_on_clear_stack(self);
}

enum class turn : std::uint8_t { none, announced, holds };
// none: another writer is there.
turn announce(word_type& writer, word_type& state, task* self) noexcept {
  std::uint64_t w = state.load(std::memory_order_relaxed);  // order: the CAS acquires
  while ((w & shared_word::writer) == 0) {
    bool readers = shared_word::readers(w) != 0;
    std::uint64_t to = w | shared_word::writer | (readers ? shared_word::draining : 0);
    if (state.compare_exchange_weak(w, to, std::memory_order_acquire)) {  // order: pairs with unlock
      writer.store(lock_word::of(self), std::memory_order_relaxed);       // order: own word while the flag is set
      return readers ? turn::announced : turn::holds;
    }
  }
  return turn::none;
}

// A writer that has waited before: in front of all but the announced one. The bucket is locked.
void push_again(sync::parking_bucket& bucket, wait_node* n, const word_type& writer) noexcept {
  wait_node* first = bucket.first(n->primitive);
  bool announced = first != nullptr && lock_word::of(first->owner) == writer.load();
  if (announced) bucket.remove(first);
  bucket.push_front(n);
  if (announced) bucket.push_front(first);
}

void lock_slow(word_type& writer, word_type& state, task* self) {
  sync::parking_bucket& bucket = sync::bucket_of(&writer);
  std::int64_t began = 0;
  for (;;) {
    turn mine = announce(writer, state, self);
    if (mine == turn::announced) drain(writer, state, self);
    if (mine != turn::none) return;
    bool starving = began != 0 && base::now_ns() - began > lock_word::starving_ns;
    bucket.lock.lock();
    if (!flag_waiters(state, shared_word::waiters | (starving ? shared_word::handoff : 0))) {
      bucket.lock.unlock();
      continue;
    }
    wait_node* n = prepare(self, runtime::wait_reason::rwmutex_lock, key(state));
    began != 0 ? push_again(bucket, n, writer) : bucket.push_back(n);
    bucket.lock.unlock();
    if (began == 0) began = base::now_ns();
    runtime::park_on_clear_stack(self);
    if (writer.load(std::memory_order_relaxed) == lock_word::of(self)) return;  // order: own word, if it is; handed over
  }
}

// Lets in all readers that wait, and wakes the next writer. If one has asked for it, that is announced behind the readers instead; without
// readers it gets the lock.
[[gnu::noinline]] void unlock_slow(word_type& writer, word_type& state) noexcept {
  sync::parking_bucket& bucket = sync::bucket_of(&writer);
  std::uintptr_t readers = key(writer), writers = key(state);
  sync::claimed_list woken;
  std::uint64_t count = 0;
  bucket.lock.lock();
  while (wait_node* n = woken.claim_first(bucket, readers)) {
    runtime::hold::record(*static_cast<hold_slot*>(n->slot), readers);
    count++;
  }
  wait_node* next = nullptr;
  if ((state.load() & shared_word::handoff) == 0) {
    woken.claim_first(bucket, writers);
  } else {
    next = count != 0 ? bucket.first(writers) : woken.claim_first(bucket, writers);
  }
  std::uint64_t flags =
      (next != nullptr ? shared_word::writer : 0) | (bucket.first(writers) != nullptr ? shared_word::waiters : 0);
  std::uint64_t owner = next != nullptr ? lock_word::of(next->owner) : 0;
  if (next != nullptr && count != 0) flags |= shared_word::draining;
  set_flags(state, flags, count);
  if (next != nullptr) writer.store(owner);  // else it may be gone
  bucket.lock.unlock();
  woken.make_runnable();
}

// By the last reader, while the writer drains. If that has changed on the way here there is nothing to do.
[[gnu::noinline]] void hand_to_writer(word_type& writer, word_type& state) noexcept {
  sync::parking_bucket& bucket = sync::bucket_of(&writer);
  std::uintptr_t readers = key(writer), writers = key(state);
  sync::claimed_list woken;
  bucket.lock.lock();
  wait_node* n = bucket.first(writers);
  std::uint64_t now = n != nullptr ? state.load() : 0;  // rule 3
  bool announced = (now & shared_word::draining) != 0 && lock_word::of(n->owner) == writer.load();
  if (announced && shared_word::readers(now) == 0) {
    woken.claim_first(bucket, writers);
    bool waiters = bucket.first(writers) != nullptr || bucket.first(readers) != nullptr;
    set_flags(state, shared_word::writer | (waiters ? shared_word::waiters : 0), 0);
  }
  bucket.lock.unlock();
  woken.make_runnable();
}

void leave(word_type& writer, word_type& state, hold_slot& slot, std::uint64_t before) noexcept {
  runtime::hold::forget(slot);
  if (shared_word::readers(before) == 1 && (before & shared_word::draining) != 0) hand_to_writer(writer, state);
}

// false: a writer is there.
bool enter(word_type& writer, word_type& state, hold_slot& slot) noexcept {
  runtime::hold::record(slot, key(writer));
  // order: acquire pairs with the writer's unlock; release keeps the record before it
  std::uint64_t w = state.fetch_add(shared_word::reader, std::memory_order_acq_rel);
  if (__builtin_expect((w & shared_word::writer) == 0, true)) return true;
  leave(writer, state, slot, state.fetch_sub(shared_word::reader));
  return false;
}

[[gnu::noinline]] void lock_shared_slow(word_type& writer, word_type& state, task* self, hold_slot& slot) {
  std::uintptr_t lock = key(writer);
  sync::parking_bucket& bucket = sync::bucket_of(&writer);
  for (;;) {
    bucket.lock.lock();
    if (flag_waiters(state, shared_word::waiters)) break;
    bucket.lock.unlock();
    if (enter(writer, state, slot)) return;
  }
  wait_node* n = prepare(self, runtime::wait_reason::rwmutex_rlock, lock);
  n->slot = &slot;
  bucket.push_back(n);
  bucket.lock.unlock();
  runtime::park_on_clear_stack(self);  // the waker has recorded the hold
}

[[noreturn, gnu::noinline]] void misused(bool held, const char* free_text) noexcept {
  base::fatal(held ? "sync: unlock by a goroutine that does not hold the mutex" : free_text);
}

}  // namespace

// As an unlock that lets in all readers that wait and announces the next writer, but for the readers that hold it.
bool sync::withdraw_writer(task* self, wait_id wait, sync::parking_bucket& bucket, sync::claimed_list& woken) {
  wait_node* n = self->nodes;
  auto& state = *reinterpret_cast<word_type*>(n->primitive);
  auto& writer = *reinterpret_cast<word_type*>(n->primitive - shared_word::offset);
  bool announced = writer.load() == lock_word::of(self) && (state.load() & shared_word::draining) != 0;
  if (announced && shared_word::readers(state.load()) == 0) return false;  // the last reader is on its way to it
  if (!runtime::try_claim(self, wait.seq)) return false;
  if (n->linked) bucket.remove(n);
  if (!announced) return true;
  std::uint64_t count = 0;
  while (wait_node* reader = woken.claim_first(bucket, key(writer))) {
    runtime::hold::record(*static_cast<hold_slot*>(reader->slot), key(writer));
    count++;
  }
  wait_node* next = bucket.first(key(state));
  writer.store(next != nullptr ? lock_word::of(next->owner) : 0);
  std::uint64_t w = state.load(), keep = next != nullptr ? ~std::uint64_t{0} : ~shared_word::flags;
  while (!state.compare_exchange_weak(w, (w + count * shared_word::reader) & keep)) {
  }
  return true;
}

void shared_mutex::lock_blocking() {
  task* self = runtime::current_task();
  std::uint64_t free = 0;
  if (state_.compare_exchange_strong(free, shared_word::writer, std::memory_order_acquire)) {  // order: pairs with unlock
    writer_.store(lock_word::of(self), std::memory_order_relaxed);  // order: own word while the flag is set
    return;
  }
  lock_slow(writer_, state_, self);
}

bool shared_mutex::try_lock() {
  task* self = runtime::current_task();
  std::uint64_t free = state_.load(std::memory_order_relaxed) & shared_word::waiters;  // order: the CAS acquires
  // order: pairs with unlock
  if (!state_.compare_exchange_strong(free, free | shared_word::writer, std::memory_order_acquire)) return false;
  writer_.store(lock_word::of(self), std::memory_order_relaxed);  // order: own word while the flag is set
  return true;
}

void shared_mutex::unlock() noexcept {
  task* self = runtime::current_task();
  if (__builtin_expect(writer_.load(std::memory_order_relaxed) != lock_word::of(self), false)) {  // order: own word, if it is
    misused((state_.load() & shared_word::writer) != 0, "sync: Unlock of unlocked RWMutex");
  }
  writer_.store(0, std::memory_order_relaxed);  // order: before the flag, by the release
  std::uint64_t alone = shared_word::writer;
  if (state_.compare_exchange_strong(alone, 0, std::memory_order_release)) return;  // order: pairs with lock and enter
  unlock_slow(writer_, state_);
}

void shared_mutex::lock_shared_blocking() {
  task* self = runtime::current_task();
  hold_slot& slot = self->holds.room_for(key(writer_));
  if (!enter(writer_, state_, slot)) lock_shared_slow(writer_, state_, self, slot);
}

bool shared_mutex::try_lock_shared() {
  task* self = runtime::current_task();
  return enter(writer_, state_, self->holds.room_for(key(writer_)));
}

void shared_mutex::lock_shared_met_writer() {
  task* self = runtime::current_task();
  hold_slot& slot = self->holds.first;
  leave(writer_, state_, slot, state_.fetch_sub(shared_word::reader));
  lock_shared_slow(writer_, state_, self, slot);
}

void shared_mutex::hand_to_writer() noexcept { stray::hand_to_writer(writer_, state_); }

void shared_mutex::unlock_shared_slow() noexcept {
  task* self = runtime::current_task();
  hold_slot* slot = self->holds.find(key(writer_));
  if (__builtin_expect(slot == nullptr, false)) {
    misused(shared_word::readers(state_.load()) != 0, "sync: RUnlock of unlocked RWMutex");
  }
  std::uint64_t w =
      state_.fetch_sub(shared_word::reader, std::memory_order_acq_rel);  // order: readers before us, then the writer
  if (__builtin_expect(shared_word::readers(w) == 0, false)) misused(false, "sync: RUnlock of unlocked RWMutex");
  leave(writer_, state_, *slot, w);
}

}  // namespace stray
