// A list of arenas that is damaged: no snapshot, at once, with a note; no lock is kept. Each scene is a process of its own, whose malloc it
// damages.
#include "trace/heap_lock.h"

#include <cstdlib>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "trace/test_support.h"
#include "trace/thread_layout.h"

namespace stray::trace {
namespace {

constexpr std::size_t header = 0x30;

// Pages that look like those of an arena's first heap. Returns the arena.
std::uintptr_t false_arena() {
  void* page = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) _exit(90);
  const auto arena = reinterpret_cast<std::uintptr_t>(page) + header;
  std::memcpy(page, &arena, sizeof arena);
  return arena;
}
void set_word(std::uintptr_t at, std::uintptr_t word) { *reinterpret_cast<volatile std::uintptr_t*>(at) = word; }

snapshot_outcome look() {
  snapshot_request request;
  request.who = test::blank_client();
  request.decide = [](void*, image&) noexcept {};
  return take_snapshot(request);
}

// damage(facts): where main_arena.next leads from now on.
void expect_no_snapshot(const std::function<std::uintptr_t(const glibc_facts&)>& damage) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    heap_facts heap;
    thread_layout layout;
    if (!init_snapshot() || !discover(heap, layout) || heap.source != heap_glibc) _exit(91);
    const glibc_facts& g = heap.glibc;
    const std::uintptr_t next = *reinterpret_cast<std::uintptr_t*>(g.main_arena + g.next);
    if (!look().ok) _exit(92);
    set_word(g.main_arena + g.next, damage(g));
    const snapshot_outcome out = look();
    if (out.ok || std::strstr(out.why, "list of arenas is damaged") == nullptr) _exit(93);
    if (held_heap_locks().size != 0 || *reinterpret_cast<std::uint32_t*>(g.main_arena) != 0) _exit(94);
    set_word(g.main_arena + g.next, next);
    std::free(std::malloc(100'000));
    _exit(look().ok ? 0 : 95);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(heap_lock, a_next_arena_that_is_no_address) {
  expect_no_snapshot([](const glibc_facts&) { return 1; });
  expect_no_snapshot([](const glibc_facts&) { return 0; });
  expect_no_snapshot([](const glibc_facts&) { return std::uintptr_t{0x4141414141414140}; });
}

TEST(heap_lock, a_next_arena_where_nothing_is_mapped) {
  expect_no_snapshot([](const glibc_facts&) {
    const std::uintptr_t at = false_arena();
    munmap(reinterpret_cast<void*>(at - header), 8192);
    return at;
  });
}

TEST(heap_lock, a_next_arena_that_cannot_be_written_to) {
  expect_no_snapshot([](const glibc_facts& g) {
    const std::uintptr_t at = false_arena();
    set_word(at + g.next, g.main_arena);
    mprotect(reinterpret_cast<void*>(at - header), 8192, PROT_READ);
    return at;
  });
}

TEST(heap_lock, a_ring_without_the_main_arena) {
  expect_no_snapshot([](const glibc_facts& g) {
    const std::uintptr_t a = false_arena(), b = false_arena();
    set_word(a + g.next, b);
    set_word(b + g.next, a);
    return a;
  });
}

TEST(heap_lock, a_list_without_end) {
  expect_no_snapshot([](const glibc_facts& g) {
    const std::uintptr_t first = false_arena();
    std::uintptr_t last = first;
    for (int i = 0; i < 5000; i++) {
      const std::uintptr_t at = false_arena();
      set_word(last + g.next, at);
      last = at;
    }
    set_word(last + g.next, g.main_arena);
    return first;
  });
}

TEST(heap_lock, arenas_of_threads_are_locked) {
  heap_facts heap;
  thread_layout layout;
  ASSERT_TRUE(discover(heap, layout));
  if (heap.source != heap_glibc) GTEST_SKIP() << "not glibc's malloc";
  std::thread([&] {
    void* block = std::malloc(1000);  // of an arena of this thread's
    EXPECT_EQ(try_heap_locks(heap), heap_locks::all);
    const std::size_t held = held_heap_locks().size;
    drop_heap_locks();
    EXPECT_GE(held, 2U);
    std::free(block);
  }).join();
}

}  // namespace
}  // namespace stray::trace
