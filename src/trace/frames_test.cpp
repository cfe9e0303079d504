// The walker on real frames of this process, on garbage, and in a snapshot on threads in all they do: who has not left its stack is at home.
#include "trace/frames.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <functional>
#include <gtest/gtest.h>
#include <link.h>
#include <poll.h>
#include <random>
#include <sys/mman.h>
#include <thread>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>
#include <vector>

#include "base/syscalls.h"
#include "base/wild_stack.h"
#include "trace/test_support.h"

namespace stray::trace {
namespace {

namespace cfi = base::cfi;

// --- in this process ------------------------------------------------------------------------------------------------------------------

struct frames_here : ::testing::Test {
  bump memory;
  image in;
  range stack;
  void SetUp() override {
    ASSERT_TRUE(memory.reserve(std::size_t{1} << 28));
    in.memory = &memory;
    ASSERT_TRUE(in.map.read(memory));
    const mapping* m = in.map.find(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)));
    ASSERT_NE(m, nullptr);
    stack = {m->lo, m->hi};
  }
};

struct seen {
  std::uintptr_t outermost = 0;  // its stack pointer
  std::size_t frames = 0;
};
_Unwind_Reason_Code on_frame(_Unwind_Context* context, void* arg) {
  auto& s = *static_cast<seen*>(arg);
  if (_Unwind_GetIP(context) == 0) return _URC_NO_REASON;
  s.outermost = static_cast<std::uintptr_t>(_Unwind_GetCFA(context));
  s.frames++;
  return _URC_NO_REASON;
}
cfi::frame frame_of(const ucontext_t& c) {
  cfi::frame f;
  auto r = [&](int i) { return static_cast<std::uintptr_t>(c.uc_mcontext.gregs[i]); };
  f.set(cfi::rbx, r(REG_RBX));
  f.set(cfi::rbp, r(REG_RBP));
  f.set(cfi::rsp, r(REG_RSP));
  f.set(cfi::r12, r(REG_R12));
  f.set(cfi::r13, r(REG_R13));
  f.set(cfi::r14, r(REG_R14));
  f.set(cfi::r15, r(REG_R15));
  f.set(cfi::return_address, r(REG_RIP));
  return f;
}

struct point {
  ucontext_t at;
  seen by_libgcc;
};
[[gnu::noinline]] bool take(point& p, const std::function<bool(point&)>& f) {
  _Unwind_Backtrace(on_frame, &p.by_libgcc);
  getcontext(&p.at);
  return f(p);
}
[[gnu::noinline]] bool aligned(point& p,
                               const std::function<bool(point&)>& f) {  // the stack is realigned: an expression for the CFA
  alignas(64) volatile char room[128];
  room[p.by_libgcc.frames % 128] = 1;
  const bool result = take(p, f);
  return room[0] <= 1 && result;
}
[[gnu::noinline]] bool variable(point& p, std::size_t n, const std::function<bool(point&)>& f) {
  volatile char* room = static_cast<volatile char*>(__builtin_alloca(n * 16 + 16));
  room[0] = 1;
  return (n == 0 ? aligned(p, f) : variable(p, n - 1, f)) && room[0] == 1;
}

TEST_F(frames_here, comes_to_the_outermost_frame_that_libgcc_sees) {
  point p{};
  EXPECT_TRUE(variable(p, 20, [&](point& x) {
    frame_walker w(in);
    const std::uintptr_t end = x.by_libgcc.outermost;
    EXPECT_GT(x.by_libgcc.frames, 24u);
    EXPECT_FALSE(w.leads_home(frame_of(x.at), stack, {{end - 4096, end}, {}}));
    EXPECT_FALSE(w.leads_home(frame_of(x.at), stack, {{end + 1, stack.hi}, {}}));
    EXPECT_FALSE(w.leads_home(frame_of(x.at), stack, {{end, end + 1}, {end, end + 1}}));  // not its code
    return w.leads_home(frame_of(x.at), stack, {{end, end + 1}, {}});
  }));
}

TEST_F(frames_here, a_stack_that_ends_too_early_is_not_home) {
  point p{};
  variable(p, 20, [&](point& x) {
    frame_walker w(in);
    const auto sp = frame_of(x.at).value[cfi::rsp];
    for (std::uintptr_t hi = sp - 16; hi < x.by_libgcc.outermost; hi += 8)
      EXPECT_FALSE(w.leads_home(frame_of(x.at), {stack.lo, hi}, {{0, ~std::uintptr_t{0}}, {}}));
    return true;
  });
}

// A stack whose outermost frame is makecontext's is no thread's.
ucontext_t outside, inside;
TEST_F(frames_here, makecontexts_end_is_not_home) {
  std::vector<char> room(65536);
  bool led = true;
  static std::function<void()> body;
  body = [&] {
    frame_walker w(in);
    getcontext(&outside);
    led = w.leads_home(frame_of(outside), stack, {stack, {}});
    const auto lo = reinterpret_cast<std::uintptr_t>(room.data());
    EXPECT_FALSE(w.leads_home(frame_of(outside), {lo, lo + room.size()}, {{0, lo}, {}}));
  };
  ucontext_t back;
  getcontext(&inside);
  inside.uc_stack.ss_sp = room.data();
  inside.uc_stack.ss_size = room.size();
  inside.uc_link = &back;
  makecontext(
      &inside, [] { body(); }, 0);
  in.map.read(memory);  // with the room
  swapcontext(&back, &inside);
  EXPECT_FALSE(led);
}

TEST_F(frames_here, garbage_never_faults_and_is_never_home) {
  ASSERT_TRUE(in.map.read(memory));
  std::vector<std::uintptr_t> code{reinterpret_cast<std::uintptr_t>(&std::malloc), reinterpret_cast<std::uintptr_t>(&on_frame)};
  for (const mapping& m : in.map.all()) {
    if (m.executable) code.push_back(m.lo + (m.hi - m.lo) / 2);
  }
  base::wild_stack wild(20261130, std::move(code));
  auto word = [&] { return wild.word(); };
  frame_walker w(in);
  for (int round = 0; round < 20000; round++) {
    if (round % 50 == 0) wild.fill();
    cfi::frame f;
    for (unsigned i = 0; i < cfi::register_count; i++) f.set(i, word());
    if (round % 2 == 0) f.set(cfi::rsp, wild.slot());
    EXPECT_FALSE(w.leads_home(f, {wild.lo, wild.hi}, {{wild.hi - 1, wild.hi}, {}}));  // at no multiple of 8
    w.leads_home(f, {wild.lo, wild.hi}, {{wild.lo, wild.hi}, {}});
    w.leads_home(f, {word(), word()}, {{word(), word()}, {}});
  }
}

// Tables with flipped bytes, between two pages that cannot be read.
TEST_F(frames_here, spoilt_tables_never_fault) {
  struct found {
    cfi::tables in;
    range text;
  } own{};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* arg) {
        auto& f = *static_cast<found*>(arg);
        for (int i = 0; i < info->dlpi_phnum; i++) {
          const auto& p = info->dlpi_phdr[i];
          const range r{info->dlpi_addr + p.p_vaddr, info->dlpi_addr + p.p_vaddr + p.p_memsz};
          if (p.p_type == PT_GNU_EH_FRAME) f.in.header = r.lo;
          if (p.p_type == PT_LOAD && (p.p_flags & PF_X) != 0) f.text = r;
        }
        for (int i = 0; i < info->dlpi_phnum; i++) {
          const auto& p = info->dlpi_phdr[i];
          const range r{info->dlpi_addr + p.p_vaddr, info->dlpi_addr + p.p_vaddr + p.p_memsz};
          if (p.p_type == PT_LOAD && r.holds(f.in.header)) f.in.readable = r;
        }
        return 1;
      },
      &own);
  ASSERT_NE(own.in.header, 0u);
  const std::size_t bytes = own.in.readable.hi - own.in.header;
  const std::size_t room = (bytes + 4095) & ~std::size_t{4095};
  auto* at = static_cast<unsigned char*>(mmap(nullptr, room + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_EQ(mprotect(at + 4096, room, PROT_READ | PROT_WRITE), 0);
  unsigned char* copy = at + 4096 + room - bytes;
  std::memcpy(copy, reinterpret_cast<const void*>(own.in.header), bytes);
  const auto lo = reinterpret_cast<std::uintptr_t>(copy);
  const cfi::tables spoilt{{lo, lo + bytes}, lo};
  const std::uintptr_t shift = lo - own.in.header;  // all in it is relative
  std::mt19937_64 random(7);
  auto any_pc = [&] { return own.text.lo + random() % own.text.size() + shift; };
  cfi::rule r;
  std::size_t before = 0;
  for (int i = 0; i < 1000; i++) before += cfi::find_rule(spoilt, any_pc(), r) ? 1 : 0;
  EXPECT_GT(before, 800u);
  alignas(16) std::uintptr_t words[64] = {};
  const auto at_words = reinterpret_cast<std::uintptr_t>(words);
  std::size_t rules = 0;
  for (int round = 0; round < 30000; round++) {
    copy[random() % (round % 3 == 0 ? 64 : bytes)] = static_cast<unsigned char>(random());
    if (round % 64 == 0) std::memcpy(copy, reinterpret_cast<const void*>(own.in.header), bytes);
    for (int k = 0; k < 4; k++) {
      if (!cfi::find_rule(spoilt, any_pc(), r)) continue;
      rules++;
      cfi::frame f;
      for (unsigned i = 0; i < cfi::register_count; i++) f.set(i, at_words + random() % sizeof words);
      cfi::step(r, f, {at_words, at_words + sizeof words, 0});
    }
  }
  EXPECT_GT(rules, 1000u);
  munmap(at, room + 8192);
}

// --- in a snapshot --------------------------------------------------------------------------------------------------------------------

struct homes {
  int at_home, lost;
  int which[16];  // of the lost
  std::uintptr_t at[16];
};

struct frames_in_a_snapshot : ::testing::Test {
  test::shared_with_child<homes> out;
  void SetUp() override { ASSERT_TRUE(init_snapshot()); }

  void look() {
    *out = {};
    snapshot_request request;
    request.who = test::blank_client();
    request.decide = [](void* arg, image& in) noexcept {
      auto& h = *static_cast<homes*>(arg);
      frame_walker w(in);
      for (const standing& s : in.standings) {
        if (w.leads_home(s)) {
          h.at_home++;
        } else if (h.lost < 16) {
          h.at[h.lost] = static_cast<std::uintptr_t>(s.context->uc_mcontext.gregs[REG_RIP]);
          h.which[h.lost++] = s.tid;
        }
      }
    };
    request.arg = &*out;
    request.hidden = out.hidden();
    const snapshot_outcome outcome = take_snapshot(request);
    EXPECT_TRUE(outcome.ok) << outcome.why;
  }

  // A thread that does `f` again and again, or once and for long: in `looks` snapshots it is at home each time.
  void expect_home(
      const std::function<void(const std::atomic<bool>&)>& f, const std::function<void()>& end = [] {}, int looks = 40) {
    std::atomic<bool> over{false};
    std::atomic<int> tid{0};
    std::thread t([&] {
      tid = base::sys::gettid();
      f(over);
    });
    while (tid == 0) std::this_thread::yield();
    usleep(20'000);
    int home = 0, lost = 0;
    for (int i = 0; i < looks; i++) {
      look();
      home += out->at_home;
      for (int k = 0; k < out->lost; k++) {
        if (out->which[k] != tid) continue;
        lost++;
        Dl_info where{};
        dladdr(reinterpret_cast<void*>(out->at[k]), &where);
        ADD_FAILURE() << "at " << (where.dli_sname != nullptr ? where.dli_sname : "?") << " in " << where.dli_fname << " +0x"
                      << std::hex << out->at[k] - reinterpret_cast<std::uintptr_t>(where.dli_fbase);
      }
      usleep(500);
    }
    EXPECT_EQ(lost, 0);
    EXPECT_GE(home, looks / 2);
    over = true;
    end();
    t.join();
  }
};

TEST_F(frames_in_a_snapshot, who_reads_from_a_pipe_is_at_home) {
  int p[2];
  ASSERT_EQ(pipe(p), 0);
  expect_home(
      [&](const std::atomic<bool>&) {
        char c;
        while (read(p[0], &c, 1) < 0) {
        }
      },
      [&] { EXPECT_EQ(write(p[1], "x", 1), 1); });
  close(p[0]);
  close(p[1]);
}
TEST_F(frames_in_a_snapshot, who_polls_and_sleeps_is_at_home) {
  expect_home([](const std::atomic<bool>& over) {
    while (!over) {
      poll(nullptr, 0, 2);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      usleep(1000);
    }
  });
}
TEST_F(frames_in_a_snapshot, who_waits_for_a_condition_is_at_home) {
  std::mutex m;
  std::condition_variable c;
  expect_home(
      [&](const std::atomic<bool>& over) {
        std::unique_lock lock(m);
        while (!over) c.wait(lock);
      },
      [&] {
        std::lock_guard lock(m);
        c.notify_all();
      });
}
TEST_F(frames_in_a_snapshot, who_joins_is_at_home) {
  expect_home([](const std::atomic<bool>& over) {
    std::thread([&] {
      while (!over) usleep(1000);
    }).join();
  });
}
TEST_F(frames_in_a_snapshot, who_asks_for_the_time_is_at_home) {
  expect_home(
      [](const std::atomic<bool>& over) {
        timespec t;
        while (!over) clock_gettime(CLOCK_MONOTONIC, &t);
      },
      [] {}, 100);
}
TEST_F(frames_in_a_snapshot, who_formats_and_allocates_is_at_home) {
  expect_home(
      [](const std::atomic<bool>& over) {
        while (!over) {
          char text[64];
          std::snprintf(text, sizeof text, "%d %s %f", 42, "of", 1.5);
          void* volatile p = std::malloc(100);
          std::free(p);
        }
      },
      [] {}, 100);
}
TEST_F(frames_in_a_snapshot, who_sorts_and_copies_is_at_home) {
  expect_home(
      [](const std::atomic<bool>& over) {
        std::vector<std::string> words(50, "a word that is longer than sixteen bytes");
        while (!over) {
          for (std::size_t i = 0; i < words.size(); i++) words[i][0] = static_cast<char>('a' + i * 7 % 26);
          std::sort(words.begin(), words.end());
          std::qsort(words.data(), 0, 1, [](const void*, const void*) { return 0; });
        }
      },
      [] {}, 100);
}

// Arrays in frames: control stands on a context there.
[[gnu::noinline]] void stand_on_an_array(std::atomic<int>& phase) {
  static std::atomic<int>* shared;
  static ucontext_t native, fiber;
  shared = &phase;
  alignas(16) char room[32768];
  getcontext(&fiber);
  fiber.uc_stack.ss_sp = room;
  fiber.uc_stack.ss_size = sizeof room;
  fiber.uc_link = &native;
  makecontext(
      &fiber,
      [] {
        *shared = 1;
        while (*shared != 2) usleep(500);
      },
      0);
  swapcontext(&native, &fiber);
  asm volatile("" : : "r"(room) : "memory");
}
TEST_F(frames_in_a_snapshot, who_stands_on_an_array_in_a_frame_is_not_at_home) {
  std::atomic<int> phase{0};
  std::atomic<int> tid{0};
  std::thread t([&] {
    tid = base::sys::gettid();
    stand_on_an_array(phase);
  });
  while (phase != 1) std::this_thread::yield();
  look();
  ASSERT_EQ(out->lost, 1);
  EXPECT_EQ(out->which[0], tid);
  phase = 2;
  t.join();
}

// The switch is inlined, and alloca takes a frame pointer: the frames from the array on lead to this one as if it had called.
[[gnu::noinline]] void stand_on_an_array_by_asm(void (*f)(), std::size_t n) {
  alignas(16) char room[16384];
  auto* more = static_cast<volatile char*>(__builtin_alloca(n));
  more[0] = 1;
  char* top = room + sizeof room;
  asm volatile("mov %%rsp, %%rbx; mov %0, %%rsp; call *%1; mov %%rbx, %%rsp"
               : "+r"(top), "+r"(f)
               :
               : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
  more[1] = 1;
}
TEST_F(frames_in_a_snapshot, who_stands_on_an_array_by_an_inlined_switch_is_not_at_home) {
  static std::atomic<int> phase;
  phase = 0;
  std::thread t([] {
    stand_on_an_array_by_asm(
        [] {
          phase = 1;
          while (phase != 2) usleep(500);
        },
        32);
  });
  while (phase != 1) std::this_thread::yield();
  look();
  EXPECT_EQ(out->lost, 1);
  phase = 2;
  t.join();
}

// The main thread's frames end at _start.
TEST_F(frames_in_a_snapshot, the_main_thread_is_at_home) {
  std::thread([&] { look(); }).join();
  EXPECT_EQ(out->lost, 0);
  EXPECT_EQ(out->at_home, 1);
}

}  // namespace
}  // namespace stray::trace
