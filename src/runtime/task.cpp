#include "runtime/task.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <unistd.h>

#include "base/syscalls.h"
#include "runtime/current.h"
#include "runtime/scheduler.h"
#include "runtime/thread.h"

namespace stray::runtime {

namespace {

constinit base::slab<task> task_slab(std::size_t{8} << 20);

// Runs of wait nodes for selects and condition variables, in powers of two up to 65,536 cases.
struct node_block_1 { wait_node nodes[1]; };
struct node_block_4 { wait_node nodes[4]; };
struct node_block_16 { wait_node nodes[16]; };
struct node_block_256 { wait_node nodes[256]; };
struct node_block_65536 { wait_node nodes[65536]; };
constinit base::slab<node_block_1> nodes_1(std::size_t{8} << 20);
constinit base::slab<node_block_4> nodes_4(std::size_t{4} << 20);
constinit base::slab<node_block_16> nodes_16(std::size_t{1} << 20);
constinit base::slab<node_block_256> nodes_256(std::size_t{1} << 16);
constinit base::slab<node_block_65536> nodes_65536(std::size_t{1} << 6);

// Threads that have ended, or are about to: their records stay until the kernel has forgotten the thread, since a destructor of a
// thread_local may still unlock what the thread holds.
base::spin_lock ended_lock;
task* ended = nullptr;

void sweep_ended() noexcept {
  ended_lock.lock();
  task** link = &ended;
  while (task* t = *link) {
    if (thread_start_time(t->tid) == t->thread_start) {
      link = &t->next;
      continue;
    }
    *link = t->next;
    t->word.store(static_cast<std::uint64_t>(state::free));
    task_slab.release(t);
  }
  ended_lock.unlock();
}

struct thread_end {
  task* record = nullptr;
  ~thread_end() {
    if (record == nullptr) return;
    ended_lock.lock();
    record->next = ended;
    ended = record;
    ended_lock.unlock();
  }
};
thread_local thread_end at_thread_end;

}  // namespace

base::slab<task>& tasks() noexcept { return task_slab; }

const char* text_of(wait_reason r) noexcept {
  static constexpr const char* table[] = {
#define REASON(name, text, eligible, rule) text,
#include "runtime/wait_reasons.inc"
#undef REASON
  };
  return table[static_cast<std::size_t>(r)];
}

[[gnu::noinline]] task* make_thread_task() {
  ensure_started();
  sweep_ended();
  task* t = tasks().alloc();
  if (t == nullptr) throw std::bad_alloc();
  t->id = sched().next_id.fetch_add(1, std::memory_order_relaxed);  // order: uniqueness only
  t->is_thread = true;
  t->tid = base::sys::gettid();
  t->is_main = t->tid == base::sys::getpid();
  t->thread_start = thread_start_time(t->tid);
  t->futex.store(0);
  t->creator_id = 0;
  t->created_by = 0;
  t->stack_lo = t->stack_hi = 0;
  t->nodes = nullptr;
  t->node_count = 0;
  t->word.store(static_cast<std::uint64_t>(state::running));
  set_current_task(t);
  at_thread_end.record = t;
  return t;
}

std::uint64_t thread_start_time(int tid) noexcept {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
  int fd = base::sys::open(path, 0);
  if (fd < 0) return 0;
  char text[512];
  long n = base::sys::read(fd, text, sizeof text - 1);
  base::sys::close(fd);
  if (n <= 0) return 0;
  text[n] = '\0';
  char* p = std::strrchr(text, ')');  // the name may hold anything
  for (int field = 2; p != nullptr && field < 22; field++) p = std::strchr(p + 1, ' ');
  return p == nullptr ? 0 : std::strtoull(p + 1, nullptr, 10);
}

namespace {
template <class Block>
wait_node* take_nodes(base::slab<Block>& from) {
  Block* b = from.alloc();
  if (b == nullptr) throw std::bad_alloc();
  return b->nodes;
}
}  // namespace

wait_node* alloc_nodes(std::size_t n) {
  if (n <= 1) return take_nodes(nodes_1);
  if (n <= 4) return take_nodes(nodes_4);
  if (n <= 16) return take_nodes(nodes_16);
  if (n <= 256) return take_nodes(nodes_256);
  if (n <= 65536) return take_nodes(nodes_65536);
  throw std::bad_alloc();
}

void free_nodes(wait_node* nodes, std::size_t n) noexcept {
  if (n <= 1) return nodes_1.release(reinterpret_cast<node_block_1*>(nodes));
  if (n <= 4) return nodes_4.release(reinterpret_cast<node_block_4*>(nodes));
  if (n <= 16) return nodes_16.release(reinterpret_cast<node_block_16*>(nodes));
  if (n <= 256) return nodes_256.release(reinterpret_cast<node_block_256*>(nodes));
  nodes_65536.release(reinterpret_cast<node_block_65536*>(nodes));
}

}  // namespace stray::runtime
