#include "runtime/timer.h"

#include "base/check.h"
#include "base/clock.h"
#include "runtime/park.h"
#include "runtime/scheduler.h"

namespace stray::runtime {

namespace {

struct entry {
  std::int64_t when_ns;
  task* owner;
};

struct timer_heap {
  base::spin_lock lock;
  base::range where;
  std::uintptr_t committed = 0;
  std::uint32_t size = 0;  // entries [1, size]
  std::atomic<std::int64_t> next{no_deadline};

  entry* at(std::uint32_t place) const noexcept { return reinterpret_cast<entry*>(where.lo) + place; }
  void put(std::uint32_t place, entry e) noexcept {
    *at(place) = e;
    e.owner->timer.place = place;
  }
  static std::uint32_t parent(std::uint32_t i) noexcept { return (i + 2) / 4; }
  static std::uint32_t first_child(std::uint32_t i) noexcept { return 4 * i - 2; }

  void up(std::uint32_t i, entry e) noexcept {
    while (i > 1 && at(parent(i))->when_ns > e.when_ns) {
      put(i, *at(parent(i)));
      i = parent(i);
    }
    put(i, e);
  }
  void down(std::uint32_t i, entry e) noexcept {
    for (;;) {
      std::uint32_t child = first_child(i), best = 0;
      for (std::uint32_t c = child; c < child + 4 && c <= size; c++) {
        if (best == 0 || at(c)->when_ns < at(best)->when_ns) best = c;
      }
      if (best == 0 || at(best)->when_ns >= e.when_ns) break;
      put(i, *at(best));
      i = best;
    }
    put(i, e);
  }
  void remove(std::uint32_t i) noexcept {
    at(i)->owner->timer.place = 0;
    entry last = *at(size--);
    if (i <= size) {
      if (i > 1 && at(parent(i))->when_ns > last.when_ns) {
        up(i, last);
      } else {
        down(i, last);
      }
    }
  }
  void publish() noexcept { next.store(size == 0 ? no_deadline : at(1)->when_ns); }
};
constinit timer_heap heap;
std::atomic<std::int64_t> coarse{0};

}  // namespace

std::int64_t next_deadline() noexcept { return heap.next.load(std::memory_order_seq_cst); }

void arm_timer(task* self, std::int64_t when_ns) noexcept {
  heap.lock.lock();
  if (heap.where.lo == 0) heap.where = base::carve((std::size_t{256} << 20) >> base::reservation_shrink());
  std::uintptr_t end = heap.where.lo + (heap.size + 2) * sizeof(entry);
  if (end > heap.committed) {
    if (heap.committed == 0) heap.committed = heap.where.lo;
    if (end > heap.where.hi || !base::commit(heap.committed, std::size_t{64} << 10)) base::fatal("too many timers");
    heap.committed += std::size_t{64} << 10;
  }
  self->timer.when_ns = when_ns;
  self->timer.seq = word::seq_of(self->word.load(std::memory_order_relaxed));  // order: own word, in state parking
  bool earliest = when_ns < heap.next.load(std::memory_order_relaxed);         // order: written under the lock
  heap.up(++heap.size, {when_ns, self});
  heap.publish();
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

bool run_timers(std::int64_t now_ns) noexcept {
  if (next_deadline() > now_ns) return false;
  bool any = false;
  for (;;) {
    task* due[64];
    int n = 0;
    heap.lock.lock();
    while (heap.size != 0 && heap.at(1)->when_ns <= now_ns && n < 64) {
      task* t = heap.at(1)->owner;
      heap.remove(1);
      if (try_claim(t, t->timer.seq)) {
        t->fired = nullptr;
        due[n++] = t;
      }
    }
    heap.publish();
    heap.lock.unlock();
    for (int i = 0; i < n; i++) make_runnable(due[i]);
    any = any || n != 0;
    if (n < 64) return any;
  }
}

std::int64_t coarse_now_ns() noexcept { return coarse.load(std::memory_order_relaxed); }         // order: a clock
void touch_coarse_clock() noexcept { coarse.store(base::now_ns(), std::memory_order_relaxed); }  // order: a clock

}  // namespace stray::runtime
