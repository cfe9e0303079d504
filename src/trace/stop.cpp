#include "trace/stop.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/arch.h"
#include "base/clock.h"
#include "base/stop_signal.h"
#include "base/sync_shim.h"
#include "base/syscalls.h"
#include "trace/kernel_sigaction.h"
#include "trace/libc_text.h"
#include "trace/ptrace_stop.h"
#include "trace/signal_frame.h"
#include "trace/stop_table.h"
#include "trace/task_list.h"

namespace stray::trace {
namespace {

namespace sys = base::sys;

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t answer_limit = 5 * ms;      // for a thread that sleeps uninterruptibly, is traced or blocks the signal
constexpr std::int64_t runnable_limit = 200 * ms;  // for one that only waits for a processor
constexpr std::int64_t handler_limit = 5000 * ms;

constexpr const char* no_list = "the list of threads cannot be read: /proc is not accessible, or no file descriptor is free";

struct stop_state {
  int signal = 0;
  int pid = 0;
  std::atomic<table*> where{nullptr};
  stopped_thread* out = nullptr;  // room for one a slot
  std::size_t out_size = 0;
  std::size_t count = 0;                   // slots in use
  std::atomic<std::uint32_t> epoch{0};     // of the stop under way
  std::atomic<std::uint32_t> released{0};  // epochs up to this are over; stopped threads sleep on it
  std::atomic<std::uint32_t> answers{0};   // handlers that answered, ever; the caller sleeps on it
  std::uint64_t signals = 0;
  bool strangers = false;  // there are threads that are only looked at
  unsigned looked = 0, awake = 0;
  choose_way way = nullptr;
  void* way_arg = nullptr;
  range memory[32];
  std::size_t memories = 0;
};
constinit stop_state s;

// --- in the stopped thread ------------------------------------------------------------------------------------------------------------

void on_signal(int, siginfo_t*, void* context) noexcept {
  signal_frame::mark_left(static_cast<ucontext_t*>(context));
  table* t = s.where.load();
  if (t == nullptr) return;
  slot* mine = find_slot(t, sys::gettid());
  if (mine == nullptr) return;
  std::uint64_t word = mine->word.load();
  auto epoch = static_cast<std::uint32_t>(word >> 8);
  if ((word & 255) != asked) return;
  std::uintptr_t fs = 0;
  sys::call(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, sys::arg(&fs));
  mine->context = static_cast<const ucontext_t*>(context);
  mine->fs_base = fs;
  fs = 0;
  sys::call(SYS_arch_prctl, 0x1004 /* ARCH_GET_GS */, sys::arg(&fs));
  mine->gs_base = fs;
  const std::uint64_t answered = (word & ~std::uint64_t{255}) | stopped;
  if (!mine->word.compare_exchange_strong(word, answered)) return;
  s.answers.fetch_add(1);
  base::futex_wake(s.answers, 1);
  std::int64_t deadline = base::now_ns() + handler_limit;
  for (;;) {
    std::uint32_t seen = s.released.load();
    if (seen == epoch || s.epoch.load() != epoch) return;
    timespec rest = base::to_timespec(deadline - base::now_ns());
    if (rest.tv_sec == 0 && rest.tv_nsec == 0) break;
    base::futex_wait(s.released, seen, &rest);
  }
  word = answered;
  mine->word.compare_exchange_strong(word, (word & ~std::uint64_t{255}) | left);
}

// --- the table ------------------------------------------------------------------------------------------------------------------------

void* map(std::size_t bytes) noexcept {
  bytes = base::page_up(bytes);
  long at = sys::mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if ((at < 0 && at > -4096) || s.memories == 32) return nullptr;
  s.memory[s.memories++] = {static_cast<std::uintptr_t>(at), static_cast<std::uintptr_t>(at) + bytes};
  return reinterpret_cast<void*>(at);
}

// Room for `threads`, with as many to come. Old tables stay mapped: a late handler may look into them.
bool make_room(std::size_t threads) noexcept {
  table* t = s.where.load();
  if (t != nullptr && t->room >= threads * 4) return true;
  std::size_t room = 1024;
  while (room < threads * 4) room *= 2;
  auto* fresh = static_cast<table*>(map(sizeof(table) + room * sizeof(slot)));
  auto* out = static_cast<stopped_thread*>(map(room * sizeof(stopped_thread)));
  if (fresh == nullptr || out == nullptr) return false;
  fresh->room = room;
  s.out = out;
  s.where.store(fresh);
  return true;
}

slot* add_slot(int tid) noexcept {
  table* t = s.where.load();
  if (s.count >= t->room * 3 / 4) return nullptr;
  for (std::size_t i = spread(tid);; i++) {
    slot& x = t->slots[i & (t->room - 1)];
    if (x.tid.load() != 0) continue;
    x.blocked = x.only_asleep = x.spare = false;
    x.in_sigwait = awaits::no;
    x.sleep = {};
    x.name[0] = 0;
    x.set(listed);
    x.tid.store(tid);
    s.count++;
    return &x;
  }
}

// One that blocks all signals and calls sigwait in turn must not be met between the two looks.
void look_at_mask(slot& x) noexcept {
  int tid = x.tid.load();
  x.blocked = task_blocks(tid, s.signal);
  x.in_sigwait = x.blocked ? awaits::no : task_awaits(tid, s.signal);
  if (!x.blocked && x.in_sigwait != awaits::yes) x.blocked = task_blocks(tid, s.signal);
}

// A task seen for the first time: what is it?
void classify(slot& x) noexcept {
  int tid = x.tid.load();
  task_look look;
  if (!look_at_task(tid, look) || look.state == 'Z' || look.state == 'X') {
    x.set(gone);
    return;
  }
  for (std::size_t i = 0; i < sizeof x.name; i++) x.name[i] = look.name[i];
  stop_way way = look.kernel_worker || s.way == nullptr ? stop_way::stop : s.way(s.way_arg, tid);
  if (look.kernel_worker) {
    x.set(kernel);
  } else if (way == stop_way::skip) {
    x.set(skipped);
  } else if (way == stop_way::stop || way == stop_way::spare) {
    x.spare = way == stop_way::spare;
    look_at_mask(x);
  } else {
    x.only_asleep = way == stop_way::look_if_asleep;
    x.set(looked);
    s.strangers = true;
  }
}

// Threads block all signals for a moment when they start and end, and while they leave our handler: waits until each lets ours through,
// with a limit; `runnable_ns` for one that merely waits for a processor, `running_ns` for one that may have just been woken in sigwait.
void wait_unblocked(std::int64_t runnable_ns, std::int64_t running_ns) noexcept {
  table* t = s.where.load();
  std::int64_t start = base::now_ns();
  for (;;) {
    bool again = false;
    std::int64_t waited = base::now_ns() - start;
    for (std::size_t i = 0; i < t->room; i++) {
      slot& x = t->slots[i];
      if (x.state() != listed || !(x.blocked || (x.in_sigwait == awaits::unknown && running_ns != 0))) continue;
      task_look look;
      if (!look_at_task(x.tid.load(), look) || look.state == 'Z' || look.state == 'X') {
        x.set(gone);
        continue;
      }
      look_at_mask(x);
      bool unsure = !x.blocked && x.in_sigwait == awaits::unknown;
      std::int64_t limit = unsure ? running_ns : !x.blocked ? 0 : look.state == 'R' ? runnable_ns : answer_limit;
      again = again || waited < limit;
    }
    if (!again) return;
    base::nap(100'000);
  }
}

enum class news : std::uint8_t { none, only_looked, some };

// A listing may miss a task while others end. So a new one that has ended is news as well: look again.
bool list_new(news& what) noexcept {
  int self = sys::gettid();
  bool room = true;
  what = news::none;
  bool read = each_task([&](int tid) {
    if (tid == self || find_slot(s.where.load(), tid) != nullptr) return;
    slot* x = add_slot(tid);
    if (x == nullptr) {
      room = false;
      return;
    }
    classify(*x);
    what = x->state() == looked && what == news::none ? news::only_looked : x->state() == looked ? what : news::some;
  });
  return read && room;
}

void unstopped_note(note_log& notes, const slot& x, const char* ptrace_says) noexcept {
  text line = notes.add();
  line << "thread ";
  line.dec(static_cast<std::uint64_t>(x.tid.load())) << " (" << x.name << ") ";
  if (x.why == hindrance::silent || x.why == hindrance::refused) {
    line << (x.why == hindrance::silent ? "did not answer" : "could not be signalled");
  } else {
    line << (x.why == hindrance::blocks ? "blocks signal " : "is in sigwait for signal ");
    line.dec(static_cast<std::uint64_t>(s.signal));
  }
  line << ": it could not be stopped; " << ptrace_says;
}

// Those that the signal did not reach, or is to spare. What cannot be stopped by ptrace either is given up. True if somebody who was to be
// spared is listed again.
bool second_means(note_log& notes) noexcept {
  table* t = s.where.load();
  bool again = false;
  slot* batch[ptrace_batch];
  for (std::size_t i = 0, n = 0; i <= t->room; i++) {
    if (i < t->room && t->slots[i].state() == held_back) batch[n++] = &t->slots[i];
    if (n == 0 || (i < t->room && n < ptrace_batch)) continue;
    const char* says = ptrace_stop({batch, n}, s.released, s.epoch.load(), answer_limit);
    for (std::size_t k = 0; k < n; k++) {
      slot& x = *batch[k];
      if (x.why == hindrance::spared) {
        x.spare = false;
        again = x.move(held_back, listed) || again;
      } else if (x.move(held_back, given_up)) {
        unstopped_note(notes, x, says);
      }
    }
    n = 0;
  }
  return again;
}

void ask_all() noexcept {
  table* t = s.where.load();
  for (std::size_t i = 0; i < t->room; i++) {
    slot& x = t->slots[i];
    if (x.state() != listed) continue;
    if (x.blocked || x.in_sigwait == awaits::yes || x.spare) {
      x.why = x.blocked ? hindrance::blocks : x.in_sigwait == awaits::yes ? hindrance::sigwait : hindrance::spared;
      x.set(held_back, s.epoch.load());
      continue;
    }
    x.asked_ns = base::now_ns();
    x.set(asked, s.epoch.load());
    s.signals++;
    long r = sys::call(SYS_tgkill, s.pid, x.tid.load(), s.signal);
    if (r == -ESRCH) {
      x.set(gone);
    } else if (r != 0) {
      x.why = hindrance::refused;
      x.move(asked, held_back);
    }
  }
}

// One look at a thread that has not answered yet; true while it is worth waiting. One that sleeps uninterruptibly may wait for a kernel
// lock whose holder waits for a processor: as long as others are runnable it has their time, too.
bool still_due(slot& x, bool others_runnable, bool& runnable) noexcept {
  task_look look;
  std::int64_t waited = base::now_ns() - x.asked_ns;
  if (!look_at_task(x.tid.load(), look) || look.state == 'Z' || look.state == 'X') {
    x.move(asked, gone);
    return false;
  }
  runnable |= look.state == 'R';
  if (waited < answer_limit) return true;
  bool blocked = task_blocks(x.tid.load(), s.signal);
  bool patient = look.state == 'D' ? others_runnable : look.state != 'T' && look.state != 't';
  if (!blocked && patient && waited < runnable_limit) return true;
  x.why = blocked ? hindrance::blocks : hindrance::silent;
  x.move(asked, held_back);  // unless it answered just now
  return false;
}

void wait_answers() noexcept {
  table* t = s.where.load();
  bool runnable = true;
  for (;;) {
    std::uint32_t seen = s.answers.load();
    bool due = false, others = runnable;
    runnable = false;
    std::int64_t now = base::now_ns();
    for (std::size_t i = 0; i < t->room; i++) {
      slot& x = t->slots[i];
      if (x.state() != asked) continue;
      if (now - x.asked_ns < ms) {
        due = runnable = true;
      } else if (still_due(x, others, runnable)) {
        due = true;
      }
    }
    if (!due) return;
    timespec one{0, ms};
    base::futex_wait(s.answers, seen, &one);
  }
}

void ask_and_wait(note_log& notes) noexcept {
  ask_all();
  if (second_means(notes)) ask_all();
  wait_answers();
  second_means(notes);
}

// At the end of a stop. True if one that must sleep does not: it is listed again.
bool look_at_all() noexcept {
  table* t = s.where.load();
  bool again = false;
  for (std::size_t i = 0; i < t->room; i++) {
    slot& x = t->slots[i];
    if (x.state() != looked || (look_at_sleep(x.tid.load(), x.sleep) && x.sleep.asleep) || !x.only_asleep) continue;
    look_at_mask(x);
    x.set(listed);
    again = true;
  }
  return again;
}

bool install_handler(int signal) noexcept {
  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  return sigaction(signal, &action, nullptr) == 0;
}

bool handler_is_ours() noexcept {
  kernel_sigaction now{};
  if (sys::call(SYS_rt_sigaction, s.signal, 0, sys::arg(&now), 8) != 0) return false;
  return now.handler == reinterpret_cast<std::uintptr_t>(&on_signal);
}

}  // namespace

bool init_stop(stop_setup& setup) noexcept {
  if (s.signal == 0) {
    if (!make_room(1)) return false;
    for (int candidate = base::stop_signal(); candidate <= SIGRTMAX && s.signal == 0; candidate++) {
      kernel_sigaction now{};
      if (sys::call(SYS_rt_sigaction, candidate, 0, sys::arg(&now), 8) != 0 || now.handler != 0) continue;
      if (install_handler(candidate)) s.signal = candidate;
    }
    if (s.signal == 0) return false;
    find_libc_text();
    if (void* memory = map(ptrace_memory_bytes())) init_ptrace(memory);
  }
  setup.signal = s.signal;
  kernel_sigaction now{};
  sys::call(SYS_rt_sigaction, s.signal, 0, sys::arg(&now), 8);
  setup.signal_return = now.restorer;
  return true;
}

bool prepare_stop(choose_way way, void* arg, note_log& notes) noexcept {
  s.pid = sys::getpid();
  s.way = way;
  s.way_arg = arg;
  s.strangers = false;
  std::size_t tasks = 0;
  if (s.signal == 0 || !each_task([&](int) { tasks++; }) || !make_room(tasks)) {
    notes.add() << (s.signal == 0 ? "no real-time signal is free for stopping threads" : no_list);
    return false;
  }
  table* t = s.where.load();
  for (std::size_t i = 0; i < t->room; i++) {
    t->slots[i].set(none);
    t->slots[i].tid.store(0);
  }
  s.count = 0;
  news what;
  if (!list_new(what)) {
    notes.add() << no_list;
    return false;
  }
  const bool all = !s.strangers;  // to be stopped
  if (all) prepare_ptrace();
  // Nobody is stopped yet.
  wait_unblocked(all && ptrace_may_do() ? 20 * ms : 1000 * ms, all ? 2 * ms : 0);
  for (std::size_t i = 0; i < t->room; i++) {
    slot& x = t->slots[i];
    task_sleep now;
    x.spare = x.spare && x.state() == listed && ptrace_may_do() && look_at_sleep(x.tid.load(), now) && now.asleep;
  }
  return true;
}

stop_result stop_threads(note_log& notes) noexcept {
  if (!handler_is_ours()) {
    text line = notes.add();
    line << "the handler of signal ";
    line.dec(static_cast<std::uint64_t>(s.signal)) << " was replaced by the program: threads cannot be stopped";
    return stop_result::cannot;
  }
  table* t = s.where.load();
  for (std::size_t i = 0; i < t->room; i++) {  // a second stop of the same preparation
    slot_state state = t->slots[i].state();
    if (state == stopped || state == left) t->slots[i].set(listed);
  }
  s.epoch.fetch_add(1);
  ask_and_wait(notes);
  for (int pass = 0;; pass++) {
    news what;
    if (!list_new(what)) {
      notes.add() << "threads are started faster than they can be stopped";
      release_threads();
      return stop_result::cannot;
    }
    // Those only looked at may go on to start others: an image that is not exact anyhow.
    bool settled = what != news::some || (pass > 10 && s.strangers);
    if (settled && !look_at_all()) break;
    wait_unblocked(ptrace_may_do() ? ms : 4 * answer_limit, 0);
    ask_and_wait(notes);
  }
  s.out_size = 0;
  s.looked = s.awake = 0;
  for (std::size_t i = 0; i < t->room; i++) {
    slot& x = t->slots[i];
    slot_state state = x.state();
    if (state != stopped && state != left && state != given_up && state != skipped && state != looked) continue;
    stopped_thread& o = s.out[s.out_size++];
    o = {};
    o.tid = x.tid.load();
    o.stopped = state == stopped;
    o.skipped = state == skipped;
    o.looked = state == looked;
    o.asleep = o.looked && x.sleep.asleep;
    s.looked += o.looked;
    s.awake += o.looked && !o.asleep;
    for (std::size_t c = 0; c < sizeof o.name; c++) o.name[c] = x.name[c];
    if (o.asleep) {
      o.sp = x.sleep.sp;
      o.pc = x.sleep.pc;
      o.in_syscall = in_libc_syscall(o.pc);
    }
    if (!o.stopped) continue;
    o.context = x.context;
    o.fs_base = x.fs_base;
    o.gs_base = x.gs_base;
    o.sp = static_cast<std::uintptr_t>(x.context->uc_mcontext.gregs[REG_RSP]);
    o.pc = static_cast<std::uintptr_t>(x.context->uc_mcontext.gregs[REG_RIP]);
    o.in_syscall = in_libc_syscall(o.pc);
  }
  return stop_result::done;
}

slice<stopped_thread> stopped_threads() noexcept { return {s.out, s.out_size}; }

unsigned looked_at() noexcept { return s.looked; }
unsigned looked_awake() noexcept { return s.awake; }

unsigned have_run() noexcept {
  unsigned n = 0;
  for (std::size_t i = 0; i < s.out_size; i++) {
    if (!s.out[i].looked) continue;
    slot* x = find_slot(s.where.load(), s.out[i].tid);
    n += x == nullptr || !slept_on(x->tid.load(), x->sleep) ? 1 : 0;
  }
  return n;
}

std::uint64_t signals_sent() noexcept { return s.signals; }

bool still_stopped() noexcept {
  table* t = s.where.load();
  for (std::size_t i = 0; i < t->room; i++) {
    if (t->slots[i].state() == left) return false;
  }
  return ptrace_holds();
}

void release_threads() noexcept {
  s.released.store(s.epoch.load());
  base::futex_wake(s.released, 0x7fffffff);
  ptrace_end();
}

void forget_stop() noexcept {
  kernel_sigaction now{};
  if (s.signal == 0 || sys::call(SYS_rt_sigaction, s.signal, 0, sys::arg(&now), 8) != 0) return;
  if (now.handler == 0) install_handler(s.signal);
}

slice<const range> stop_memory() noexcept { return {s.memory, s.memories}; }

range stop_record() noexcept {
  auto at = reinterpret_cast<std::uintptr_t>(&s);
  return {at, at + sizeof s};
}

}  // namespace stray::trace
