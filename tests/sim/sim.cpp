#include "sim.h"

#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/single_threaded.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cxxabi.h>
#include <string>

#include <stray/go.hpp>
#include "base/sync_shim.h"
#include "runtime/context.h"
#include "runtime/current.h"
#include "runtime/task.h"
#include "scheduler.h"

namespace sim {

constinit int countdown = INT_MAX;

namespace {

namespace rt = stray::runtime;

constexpr std::uint32_t most_threads = 64;
constexpr std::size_t stack_bytes = std::size_t{256} << 10;
constexpr std::uint64_t most_interrupts = 400'000;
constexpr std::int64_t never = INT64_MAX;

enum class state { runnable, waiting, ended };

struct virtual_thread {
  const char* name = "";
  void* (*body)(void*) = nullptr;
  void* arg = nullptr;
  std::uintptr_t sp = 0;
  void* stack = nullptr;
  sim::state state = state::runnable;
  const void* word = nullptr;     // of the futex it waits for
  std::int64_t deadline = never;  // of its wait
  std::uint64_t kept_until = 0;   // interrupts; it does not run before
  std::uint64_t priority = 0;
  std::atomic<std::uint32_t> over{0};
  // What is a thread's own.
  rt::task* task = nullptr;
  rt::worker* worker = nullptr;
  rt::exception_globals exceptions{};
  int error = 0;
};

struct past_switch {
  std::uint32_t from, to;
  const void* pc;
};

struct scheduler {
  virtual_thread threads[most_threads];
  std::uint32_t count = 0, current = 0;
  std::uint64_t seed = 0, random = 0, interrupts = 0, switches = 0, accesses = 0, digest = 0, lowest = 1'000'000;
  std::int64_t now = 1'000'000'000;
  int mean = 64, drawn = 0;  // of countdown
  bool by_priority = false, watched = false, active = false;
  const char* name = "";
  past_switch past[64];
};
scheduler s;
run* result = nullptr;  // shared with the parent

virtual_thread& self() noexcept { return s.threads[s.current]; }

void draw_countdown() noexcept {
  s.accesses += static_cast<std::uint64_t>(s.drawn - countdown);
  s.drawn = countdown = 1 + static_cast<int>(random(static_cast<std::uint32_t>(2 * s.mean)));
}

const char* text_of(state st) noexcept {
  return st == state::runnable ? "runnable" : st == state::waiting ? "waits for a futex" : "ended";
}
const char* text_of(rt::state st) noexcept {
  static constexpr const char* names[] = {"free",    "init",    "runnable",      "running",        "parking",
                                          "waiting", "claimed", "claimed_early", "runnable_early", "dead"};
  return names[static_cast<int>(st)];
}

void tell() noexcept {
  for (std::uint32_t i = 0; i < s.count; i++) {
    const virtual_thread& t = s.threads[i];
    std::fprintf(stderr, "  thread %2u %-14s %s%s%s\n", i, t.name, text_of(t.state),
                 t.state == state::waiting && t.deadline != never ? ", with a time limit" : "",
                 i == s.current ? "  <- ran last" : "");
  }
  auto& all = rt::tasks();
  for (std::size_t i = 1; i < all.used(); i++) {
    rt::state st = all.at(i)->current_state();
    if (st == rt::state::free) continue;
    std::fprintf(stderr, "  %s %llu %s, last reason: %s\n", all.at(i)->is_thread ? "thread as task" : "goroutine",
                 static_cast<unsigned long long>(all.at(i)->id), text_of(st), rt::text_of(all.at(i)->reason));
  }
  std::uint64_t n = std::min<std::uint64_t>(s.switches, std::getenv("STRAY_SIM_SEED") != nullptr ? 64 : 8);
  std::fprintf(stderr, "  the last switches (addr2line -pifCe this binary):\n");
  for (std::uint64_t i = s.switches - n; i < s.switches; i++) {
    const past_switch& p = s.past[i % 64];
    std::fprintf(stderr, "    %2u -> %2u at %p\n", p.from, p.to, p.pc);
  }
}

[[noreturn]] void end_run(bool failed) noexcept {
  *result = {s.switches, s.accesses, s.digest, failed};
  std::fflush(nullptr);
  _exit(failed ? 3 : 0);
}

[[noreturn]] void fail_run(const char* what) noexcept {
  s.active = false;
  countdown = INT_MAX;
  std::fprintf(stderr, "%s, seed %llu: %s\n", s.name, static_cast<unsigned long long>(s.seed), what);
  tell();
  end_run(true);
}

void pass_time_to(std::int64_t when) noexcept {
  s.now = std::max(s.now, when);
  for (std::uint32_t i = 0; i < s.count; i++) {
    virtual_thread& t = s.threads[i];
    if (t.state == state::waiting && t.deadline <= s.now) t.state = state::runnable;
  }
}
std::int64_t next_deadline() noexcept {
  std::int64_t first = never;
  for (std::uint32_t i = 0; i < s.count; i++) {
    if (s.threads[i].state == state::waiting) first = std::min(first, s.threads[i].deadline);
  }
  return first;
}

bool may_run(const virtual_thread& t) noexcept { return t.state == state::runnable && t.kept_until <= s.interrupts; }

bool anyone_kept() noexcept {
  return std::any_of(s.threads, s.threads + s.count,
                     [](const virtual_thread& t) { return t.state == state::runnable && t.kept_until > s.interrupts; });
}

// Somebody who may run. Passes time, and lets who is kept run, when nobody else is there.
std::uint32_t choose() noexcept {
  for (;;) {
    std::uint32_t candidates[most_threads], n = 0;
    for (std::uint32_t i = 0; i < s.count; i++) {
      if (may_run(s.threads[i])) candidates[n++] = i;
    }
    if (n != 0 && !s.by_priority) return candidates[random(n)];
    if (n != 0) {
      return *std::max_element(candidates, candidates + n,
                               [](auto a, auto b) { return s.threads[a].priority < s.threads[b].priority; });
    }
    bool kept = false;
    for (std::uint32_t i = 0; i < s.count; i++) {
      virtual_thread& t = s.threads[i];
      if (t.state == state::runnable) kept = true, t.kept_until = 0;
    }
    if (kept) continue;
    std::int64_t deadline = next_deadline();
    if (deadline == never) fail_run("all threads are asleep, and nobody will wake one: a wake was lost");
    pass_time_to(deadline);
  }
}

void switch_to(std::uint32_t next, const void* pc) noexcept {
  draw_countdown();
  if (next == s.current) return;
  s.past[s.switches++ % 64] = {s.current, next, pc};
  s.digest = (s.digest ^ (reinterpret_cast<std::uintptr_t>(pc) + next)) * 0x100'0000'01b3ull;
  virtual_thread &from = self(), &to = s.threads[next];
  auto* exceptions = reinterpret_cast<rt::exception_globals*>(abi::__cxa_get_globals());
  from.task = rt::stray_tls_task, from.worker = rt::stray_tls_worker, from.exceptions = *exceptions, from.error = errno;
  rt::stray_tls_task = to.task, rt::stray_tls_worker = to.worker, *exceptions = to.exceptions, errno = to.error;
  s.current = next;
  rt::stray_switch_context(&from.sp, to.sp);
}

void count_interrupt() noexcept {
  if (++s.interrupts > most_interrupts) fail_run("no end after 400,000 interrupts: a live lock?");
}

// The caller does not want to run on: it spins, or yields.
void let_others_run(const void* pc) noexcept {
  if (!s.active) return;
  count_interrupt();
  if (s.by_priority) self().priority = --s.lowest;
  s.now += 100;
  // Not while somebody is kept from running: hours would pass for who spins on his lock.
  if (random(16) == 0 && !anyone_kept() && next_deadline() != never) pass_time_to(next_deadline());
  switch_to(choose(), pc);
}

// false: the time limit has passed.
void wait(const void* word, std::int64_t deadline, const void* pc) noexcept {
  virtual_thread& t = self();
  t.word = word;
  t.deadline = deadline;
  t.state = state::waiting;
  count_interrupt();
  switch_to(choose(), pc);
  t.word = nullptr;
  t.deadline = never;
}

[[noreturn]] void thread_entry() {
  virtual_thread& t = self();
  t.body(t.arg);
  t.state = state::ended;
  stray::base::futex_wake(t.over, INT_MAX);  // over is read by who joins, under no other lock
  switch_to(choose(), nullptr);
  std::abort();
}

std::uint32_t add_thread(const char* name, void* (*body)(void*), void* arg) {
  if (s.count == most_threads) fail_run("more threads than the simulator has");
  std::uint32_t number = s.count;
  virtual_thread& t = s.threads[number];
  t.name = name, t.body = body, t.arg = arg;
  t.stack = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (t.stack == MAP_FAILED) fail_run("no memory for a stack");
  auto hi = reinterpret_cast<std::uintptr_t>(t.stack) + stack_bytes;
  auto* frame = reinterpret_cast<rt::saved_frame*>(hi - 64);  // entered with rsp = hi - 8, as after a call
  frame->pc = reinterpret_cast<std::uintptr_t>(&thread_entry);
  t.sp = reinterpret_cast<std::uintptr_t>(frame);
  t.priority = random() % 1'000'000 + 1'000'000;
  s.count++;
  return number;
}

void begin(const char* name, std::uint64_t seed) {
  s.name = name;
  s.seed = seed;
  s.random = seed * 0x9e37'79b9'7f4a'7c15ull + 0x1234'5678'9abc'def1ull;
  for (int i = 0; i < 8; i++) random();
  s.by_priority = seed % 3 == 0;
  s.watched = seed % 2 == 0;
  static constexpr int means[] = {10, 24, 64, 200, 600};
  s.mean = means[random(5)];
  __libc_single_threaded = 0;  // shared_ptr would count without atomics
  s.count = 1;
  s.threads[0].name = "main";
  s.threads[0].priority = random() % 1'000'000 + 1'000'000;
  setenv("STRAY_DEADLOCK", "off", 1);  // it reads what the kernel says of threads
  static constexpr const char* procs[] = {"1", "2", "3", "4"};
  setenv("STRAY_MAXPROCS", procs[random(4)], 1);
  s.active = true;
  countdown = 0;
  draw_countdown();
}

void end() {
  for (int i = 0; stray::num_goroutine() != 0; i++) {
    if (i == 10'000) fail_run("goroutines are left at the end");
    stray::base::nap(1'000'000);
  }
  s.active = false;
  countdown = INT_MAX;
}

}  // namespace

std::uint64_t random() noexcept {
  s.random ^= s.random << 13, s.random ^= s.random >> 7, s.random ^= s.random << 17;
  return s.random * 0x2545'f491'4f6c'dd1dull >> 11;
}

void interrupt(const void* pc) noexcept {
  if (!s.active) {
    countdown = INT_MAX;
    return;
  }
  count_interrupt();
  s.now += 20;
  if (random(256) == 0 && next_deadline() != never) pass_time_to(next_deadline());
  if (random(128) == 0) self().kept_until = s.interrupts + 1 + random(random(8) == 0 ? 3000 : 100);
  if (s.by_priority) {
    draw_countdown();
    if (random(6) != 0) return;
    self().priority = --s.lowest;
  }
  switch_to(choose(), pc);
}

void watched() noexcept { s.watched = true; }

void fail(const char* what, const char* file, int line) {
  std::string text = std::string(file) + ":" + std::to_string(line) + ": " + what;
  fail_run(text.c_str());
}

run run_seed(const char* name, void (*body)(), std::uint64_t seed, bool quiet) {
  if (result == nullptr) {
    result = static_cast<run*>(mmap(nullptr, sizeof(run), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  }
  *result = {0, 0, 0, true};
  std::fflush(nullptr);
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    if (quiet && std::freopen("/dev/null", "w", stderr) == nullptr) _exit(4);
    begin(name, seed);
    try {
      body();
    } catch (const std::exception& error) {
      fail_run(error.what());
    }
    end();
    end_run(false);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) result->failed = true;
  return *result;
}

void explore(const char* name, void (*body)()) {
  const char* one = std::getenv("STRAY_SIM_SEED");
  std::uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 0) : 1;
  std::uint64_t last = one != nullptr ? first : std::getenv("STRAY_TEST_LONG") != nullptr ? 10'000 : 60;
  std::uint64_t switches = 0, accesses = 0;
  for (std::uint64_t seed = first; seed <= last; seed++) {
    run r = run_seed(name, body, seed);
    switches += r.switches, accesses += r.accesses;
    if (!r.failed) continue;
    FAIL() << "seed " << seed << "; again: STRAY_SIM_SEED=" << seed << " " << program_invocation_name
           << " --gtest_filter=" << name;
  }
  std::printf("%-40s %5llu seeds, %llu switches, %llu accesses a seed\n", name,
              static_cast<unsigned long long>(last - first + 1), static_cast<unsigned long long>(switches / (last - first + 1)),
              static_cast<unsigned long long>(accesses / (last - first + 1)));
}

namespace {
void* call(void* arg) {
  auto* body = static_cast<std::function<void()>*>(arg);
  (*body)();
  delete body;
  return nullptr;
}
}  // namespace

thread::thread(std::function<void()> body) : number_(add_thread("test", call, new std::function<void()>(std::move(body)))) {}
void thread::join() {
  virtual_thread& t = s.threads[number_];
  while (t.state != state::ended) stray::base::futex_wait(t.over, 0);
}

}  // namespace sim

namespace stray::base {

using namespace sim;

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, const timespec* relative) noexcept {
  if (!s.active) return;
  if (__atomic_load_n(reinterpret_cast<std::uint32_t*>(&word), __ATOMIC_SEQ_CST) != expected) return;
  if (sim::random(32) == 0) return;
  std::int64_t ns = relative == nullptr ? never : s.now + relative->tv_sec * 1'000'000'000 + relative->tv_nsec;
  wait(&word, ns, __builtin_return_address(0));
}

void futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept {
  std::uint32_t start = sim::random(s.count);
  for (std::uint32_t i = 0; i < s.count && count > 0; i++) {
    virtual_thread& t = s.threads[(start + i) % s.count];
    if (t.state != sim::state::waiting || t.word != &word) continue;
    t.state = sim::state::runnable;
    count--;
  }
}

void cpu_relax() noexcept { let_others_run(__builtin_return_address(0)); }
void yield_core() noexcept { let_others_run(__builtin_return_address(0)); }
void nap(std::int64_t ns) noexcept {
  if (s.active) wait(nullptr, s.now + ns, __builtin_return_address(0));
}
int thread_id() noexcept { return static_cast<int>(s.current) + 1; }
char thread_state(int tid) noexcept { return s.threads[tid - 1].state == sim::state::runnable ? 'R' : 'S'; }
void own_stack(void** lo, std::size_t* size) noexcept { *lo = self().stack, *size = stack_bytes; }
int make_thread(pthread_t* thread, const char* name, void* (*body)(void*), void* arg) noexcept {
  *thread = 0;
  char* kept = nullptr;
  if (asprintf(&kept, "%s", name) < 0) return ENOMEM;
  std::uint32_t number = add_thread(kept, body, arg);
  if (body == nullptr) return EINVAL;
  if (!s.watched && std::string(name) == "stray-watch") s.threads[number].state = sim::state::ended;
  return 0;
}
std::int64_t now_ns() noexcept { return s.now += 20; }
std::uint64_t cycle_counter() noexcept { return sim::random() | 1; }

}  // namespace stray::base

int main(int argc, char** argv) {
  // Addresses decide buckets and orders: a seed must meet the same ones again.
  int persona = personality(0xffff'ffff);
  if (persona >= 0 && (persona & ADDR_NO_RANDOMIZE) == 0 && std::getenv("STRAY_SIM_FIXED") == nullptr) {
    setenv("STRAY_SIM_FIXED", "1", 1);
    if (personality(static_cast<unsigned long>(persona) | ADDR_NO_RANDOMIZE) >= 0) execv("/proc/self/exe", argv);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
