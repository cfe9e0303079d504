#include "runtime/timer.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/sync_shim.h"
#include "runtime/park.h"
#include "runtime/scheduler.h"
#include "runtime/started.h"

namespace stray::runtime {

namespace {

std::atomic<bool> fake{false};  // written by begin and end, under the heap's lock
std::atomic<std::int64_t> fake_now{0};
std::atomic<std::int64_t> coarse{0};

task* owner_of(timer_entry* e) noexcept {
  return reinterpret_cast<task*>(reinterpret_cast<std::uintptr_t>(e) - __builtin_offsetof(task, timer));
}

// The table's atomics are written under the lock; they are atomics for the snapshot, which sees the stores in program order: fences
// against the compiler suffice (invariant 5).
struct timer_heap : timer_table {
  base::spin_lock lock;
  base::range where;
  std::uintptr_t committed = 0;
  std::atomic<std::int64_t> next{no_deadline};
  std::uint32_t looked_at = 0;  // of drop_useless_callbacks

  timer_slot* at(std::uint32_t place) const noexcept { return reinterpret_cast<timer_slot*>(where.lo) + place; }
  std::uint32_t used() const noexcept { return size.load(std::memory_order_relaxed); }  // order: under the lock
  void put(std::uint32_t place, timer_slot s) noexcept {
    *at(place) = s;
    s.entry->place.store(place, std::memory_order_relaxed);  // order: under the lock; park_thread's is a hint
    std::atomic_signal_fence(std::memory_order_seq_cst);     // the copy before the original is overwritten
  }
  static std::uint32_t parent(std::uint32_t i) noexcept { return (i + 2) / 4; }
  static std::uint32_t first_child(std::uint32_t i) noexcept { return 4 * i - 2; }

  void up(std::uint32_t i, timer_slot s) noexcept {
    while (i > 1 && at(parent(i))->when_ns > s.when_ns) {
      put(i, *at(parent(i)));
      i = parent(i);
    }
    put(i, s);
  }
  void down(std::uint32_t i, timer_slot s, std::uint32_t last) noexcept {
    for (;;) {
      std::uint32_t child = first_child(i), best = 0;
      for (std::uint32_t c = child; c < child + 4 && c <= last; c++) {
        if (best == 0 || at(c)->when_ns < at(best)->when_ns) best = c;
      }
      if (best == 0 || at(best)->when_ns >= s.when_ns) break;
      put(i, *at(best));
      i = best;
    }
    put(i, s);
  }
  void insert(timer_entry* e) noexcept {
    std::uint32_t n = used() + 1;
    moving.store(e, std::memory_order_relaxed);  // order: the snapshot's; the sift overwrites the slot below
    *at(n) = {e->when_ns, e};
    std::atomic_signal_fence(std::memory_order_seq_cst);
    size.store(n, std::memory_order_relaxed);  // order: the snapshot's
    std::atomic_signal_fence(std::memory_order_seq_cst);
    up(n, {e->when_ns, e});
    moving.store(nullptr, std::memory_order_relaxed);  // order: the snapshot's
  }
  // The last entry keeps its slot until it has a new one.
  void remove(std::uint32_t i) noexcept {
    at(i)->entry->place.store(0, std::memory_order_relaxed);  // order: under the lock
    std::uint32_t n = used();
    timer_slot last = *at(n);
    if (i < n) {
      if (i > 1 && at(parent(i))->when_ns > last.when_ns) {
        up(i, last);
      } else {
        down(i, last, n - 1);
      }
    }
    *at(n) = {};
    std::atomic_signal_fence(std::memory_order_seq_cst);
    size.store(n - 1, std::memory_order_relaxed);  // order: the snapshot's
  }
  void make_room() noexcept {
    if (where.lo == 0) {
      where = base::carve((std::size_t{256} << 20) >> base::reservation_shrink());
      slots.store(reinterpret_cast<timer_slot*>(where.lo), std::memory_order_relaxed);  // order: before size, for the snapshot
    }
    std::uintptr_t end = where.lo + (std::size_t{used()} + 2) * sizeof(timer_slot);
    if (end <= committed) return;
    if (committed == 0) committed = where.lo;
    if (end > where.hi || !base::commit(committed, std::size_t{64} << 10)) base::fatal("too many timers");
    committed += std::size_t{64} << 10;
  }
  void publish() noexcept {
    // order: written under the lock
    next.store(used() == 0 || fake.load(std::memory_order_relaxed) ? no_deadline : at(1)->when_ns);
  }
  // true: it is the earliest.
  bool arm(timer_entry* e, std::int64_t when_ns) noexcept {
    make_room();
    e->when_ns = when_ns;
    bool earliest = when_ns < next.load(std::memory_order_relaxed);  // order: written under the lock
    insert(e);
    publish();
    return earliest;
  }
  void unlink(firing_batch* b) noexcept {
    if (firing.load(std::memory_order_relaxed) == b) {   // order: under the lock
      firing.store(b->next, std::memory_order_relaxed);  // order: under the lock
      return;
    }
    firing_batch* f = firing.load(std::memory_order_relaxed);  // order: under the lock
    while (f->next != b) f = f->next;
    f->next = b->next;
  }
};
constinit timer_heap heap;

// Fires what is due, whatever clock.
bool fire_due(std::int64_t now_ns) noexcept {
  constexpr std::uint32_t waits = base::capacity(64);
  bool any = false, linked = false;
  firing_batch batch;
  for (bool more = true; more;) {
    task* due[waits];
    std::uint64_t seqs[firing_batch::room];
    std::uint32_t n = 0, calls = 0;
    more = false;
    heap.lock.lock();
    while (heap.used() != 0 && heap.at(1)->when_ns <= now_ns) {
      if (n == waits || calls == firing_batch::room) {
        more = true;
        break;
      }
      timer_entry* e = heap.at(1)->entry;
      if (e->fire == nullptr) {
        heap.remove(1);
        task* t = owner_of(e);
        if (!try_claim(t, e->seq)) continue;
        t->fired = nullptr;
        due[n++] = t;
        continue;
      }
      batch.entry[calls].store(e, std::memory_order_relaxed);  // order: before it leaves the heap, for the snapshot
      if (!linked) {
        batch.next = heap.firing.load(std::memory_order_relaxed);  // order: under the lock
        std::atomic_signal_fence(std::memory_order_seq_cst);
        heap.firing.store(&batch, std::memory_order_relaxed);  // order: under the lock
        linked = true;
      }
      std::atomic_signal_fence(std::memory_order_seq_cst);
      seqs[calls++] = e->seq;
      e->due.store(e->seq);
      heap.remove(1);
    }
    heap.publish();
    if (linked && calls == 0) heap.unlink(&batch), linked = false;
    heap.lock.unlock();
    for (std::uint32_t i = 0; i < n; i++) make_runnable(due[i]);
    for (std::uint32_t i = 0; i < calls; i++) {
      timer_entry* e = batch.entry[i].load(std::memory_order_relaxed);  // order: own
      e->fire(e, seqs[i], now_ns);
      std::atomic_signal_fence(std::memory_order_seq_cst);
      batch.entry[i].store(nullptr, std::memory_order_relaxed);  // order: after the callback, for the snapshot
    }
    any = any || n != 0 || calls != 0;
  }
  if (linked) {
    heap.lock.lock();
    heap.unlink(&batch);
    heap.lock.unlock();
  }
  return any;
}

}  // namespace

// Entries that are armed, or were popped by a thread that is not here: none of them fires.
void forget_timers() noexcept {
  auto forget = [](timer_entry* e) {
    if (e == nullptr) return;  // one that was being removed
    e->place.store(0);
    if (e->fire != nullptr) e->due.store(0);
  };
  for (std::uint32_t i = 1; i <= heap.used(); i++) forget(heap.at(i)->entry);
  forget(heap.moving.load());
  heap.size.store(0);
  heap.moving.store(nullptr);
  heap.firing.store(nullptr);
  heap.next.store(no_deadline);
  heap.looked_at = 0;
  heap.lock.free_in_child();
}

bool timers_at_rest() noexcept { return next_deadline() == no_deadline && timers().firing.load() == nullptr; }
const timer_table& timers() noexcept { return heap; }

std::int64_t next_deadline() noexcept { return heap.next.load(std::memory_order_seq_cst); }

std::int64_t timer_now_ns() noexcept {
  // order: a clock; who is told of a fake clock otherwise than by its own thread synchronises by that
  return __builtin_expect(fake.load(std::memory_order_relaxed), false) ? fake_now.load() : base::now_ns();
}
std::int64_t timer_after_ns(std::int64_t ns) noexcept {
  std::int64_t now = timer_now_ns();
  return ns > no_deadline - 1 - now ? no_deadline - 1 : now + ns;
}
std::int64_t time_left(std::int64_t when_ns) noexcept {
  return fake.load(std::memory_order_relaxed) ? no_deadline : when_ns - base::now_ns();  // order: as timer_now_ns
}

void arm_timer(task* self, std::int64_t when_ns) noexcept {
  heap.lock.lock();
  self->timer.seq = word::seq_of(self->word.load(std::memory_order_relaxed));  // order: own word, in state parking
  bool earliest = heap.arm(&self->timer, when_ns);
  heap.lock.unlock();
  if (earliest) wake_for_timer();
}

void disarm_timer(task* self) noexcept {
  heap.lock.lock();
  if (self->timer.place != 0) {
    heap.remove(self->timer.place);
    heap.publish();
  }
  heap.lock.unlock();
}

bool arm_callback(timer_entry* e, std::int64_t when_ns) noexcept {
  ensure_started();  // in the child of a fork it may be the parent's
  heap.lock.lock();
  e->seq++;
  bool earliest = heap.arm(e, when_ns);
  heap.lock.unlock();
  return earliest;
}

stopped stop_callback(timer_entry* e) noexcept {
  ensure_started();  // as above
  heap.lock.lock();
  bool in_heap = e->place != 0;
  if (in_heap) {
    heap.remove(e->place);
    heap.publish();
  }
  bool was_due = e->due.exchange(0) != 0;
  heap.lock.unlock();
  return in_heap ? stopped::removed : was_due ? stopped::prevented : stopped::idle;
}

std::uint32_t drop_useless_callbacks(decltype(timer_entry::fire) kind, bool (*useless)(const timer_entry*) noexcept,
                                     timer_entry* (&out)[2]) noexcept {
  std::uint32_t n = 0;
  ensure_started();  // as above
  heap.lock.lock();
  for (int i = 0; i < 2 && heap.used() != 0; i++) {
    if (heap.looked_at == 0 || heap.looked_at > heap.used()) heap.looked_at = 1;
    timer_entry* e = heap.at(heap.looked_at)->entry;
    if (e->fire == kind && useless(e)) {
      out[n++] = e;
      heap.remove(heap.looked_at);  // another one takes its place, and is next
    } else {
      heap.looked_at++;
    }
  }
  if (n != 0) heap.publish();
  heap.lock.unlock();
  return n;
}

bool run_timers(std::int64_t now_ns) noexcept { return next_deadline() <= now_ns && fire_due(now_ns); }

bool begin_fake_time() noexcept {
  heap.lock.lock();
  bool free = !fake.load(std::memory_order_relaxed);  // order: under the lock
  if (free) {
    fake_now.store(base::now_ns());
    fake.store(true);
    heap.publish();
  }
  heap.lock.unlock();
  return free;
}

void end_fake_time() noexcept {
  heap.lock.lock();
  std::int64_t back = fake_now.load() - base::now_ns();
  for (std::uint32_t i = 1; i <= heap.used(); i++) {  // all by the same time, but for those that wait for ever: the order stays
    timer_slot& s = *heap.at(i);
    if (s.when_ns >= no_deadline - 1) continue;
    s.when_ns -= back;
    s.entry->when_ns = s.when_ns;
  }
  fake.store(false);
  heap.publish();
  for (std::uint32_t i = 1; i <= heap.used(); i++) {  // threads look again how long they have to sleep
    timer_entry* e = heap.at(i)->entry;
    if (e->fire == nullptr && owner_of(e)->is_thread) base::futex_wake(owner_of(e)->futex, 1);
  }
  heap.lock.unlock();
  wake_for_timer();
}

void advance_fake_time(std::int64_t ns) noexcept {
  std::int64_t now = fake_now.load(), to = ns > no_deadline - 1 - now ? no_deadline - 1 : now + ns;
  for (;;) {
    heap.lock.lock();
    std::int64_t first = heap.used() != 0 ? heap.at(1)->when_ns : no_deadline;
    heap.lock.unlock();
    if (first > to) break;
    if (first > now) now = first;
    fake_now.store(now);
    fire_due(now);
  }
  fake_now.store(to);
}

std::int64_t coarse_now_ns() noexcept { return coarse.load(std::memory_order_relaxed); }         // order: a clock
void touch_coarse_clock() noexcept { coarse.store(base::now_ns(), std::memory_order_relaxed); }  // order: a clock

}  // namespace stray::runtime
