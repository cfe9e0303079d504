// A program in full motion (motion.hpp) is asked all the time which of its goroutines are leaked, also while the detection itself is being
// spoilt. Whoever is reported and is not in the program's own table of the truth is a false report.
//
// Short by default. STRAY_TEST_LONG=1: ten minutes of churn, one for each fault, 100,000 instants; or STRAY_CHURN_SECONDS=N and
// STRAY_CHURN_INSTANTS=N. STRAY_TEST_SEED=N repeats a run's choices, not its timing.
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#if !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)  // they have allocators of their own: the tracer is blind there

#include "leak/detect/detector.h"
#include "leak/model/findings.h"
#include "runtime/park.h"
#include "tests/stress/motion.hpp"

namespace {

using namespace motion_test;
using steady = std::chrono::steady_clock;

long setting(const char* name, long quick, long tier) {
  if (const char* n = std::getenv(name)) return std::atol(n);
  return std::getenv("STRAY_TEST_LONG") != nullptr ? tier : quick;
}
unsigned seed() {
  const char* text = std::getenv("STRAY_TEST_SEED");
  unsigned value = text != nullptr ? static_cast<unsigned>(std::atoi(text)) : std::random_device{}() % 100'000;
  std::printf("STRAY_TEST_SEED=%u\n", value);
  return value;
}

// --- the question --------------------------------------------------------------------------------------------------------------------
struct tally {
  std::size_t detections = 0, wrong = 0, incomplete = 0, known = 0, found = 0;  // found: of those known at its start
  std::set<std::uint64_t> last;                                                 // reported by the last one

  void count(const std::set<std::uint64_t>& before, const std::vector<std::pair<std::uint64_t, bool>>& reported,
             bool complete) {
    std::lock_guard hold(truth_lock);
    detections++;
    incomplete += !complete;
    known += before.size();
    last.clear();
    for (auto [id, thread] : reported) {
      found += before.contains(id);
      last.insert(id);
      if (!thread && doomed.contains(id)) continue;
      wrong++;
      std::cout << "reported, but it can be woken: " << id << std::endl;
    }
  }
  void print(const char* what) const {
    std::printf(
        "%s: %zu detections (%zu incomplete) over %llu rounds of work: %zu wrong; of the leaks known at its start one found "
        "%.2f %%\n",
        what, detections, incomplete, static_cast<unsigned long long>(done.load()), wrong,
        known == 0 ? 0 : 100.0 * static_cast<double>(found) / static_cast<double>(known));
  }
};
// As a user asks: others are stopped only for what is new.
void ask(tally& t) {
  auto before = doomed_now();
  stray::leak::report r = stray::leak::find();
  std::size_t wrong = t.wrong;
  std::vector<std::pair<std::uint64_t, bool>> reported;
  for (const auto& g : r.groups()) {
    for (const auto& one : g.goroutines) reported.emplace_back(one.id, one.thread);
  }
  t.count(before, reported, r.complete());
  if (t.wrong != wrong) std::cout << r << std::endl;
}
// All threads are stopped at whatever they do.
void ask_stopped(tally& t) {
  auto before = doomed_now();
  auto f = stray::leak::detect({.blame = false});
  std::vector<std::pair<std::uint64_t, bool>> reported;
  for (const stray::leak::finding& one : f->list) {
    if (one.tier >= stray::leak::tier::cycle) reported.emplace_back(one.id, one.thread);
  }
  t.count(before, reported, f->complete);
}
// At rest everything can be seen; a stale word somewhere may hide one in a hundred.
void expect_rest(tally t) {
  ask(t);
  auto planted = doomed_now();
  std::size_t likely = stray::leak::find({.min_tier = stray::leak::tier::likely}).total() - t.last.size();
  std::printf("at rest: %zu of %zu leaks proven, %zu likely\n", t.last.size(), planted.size(), likely);
  for (std::uint64_t id : planted) {
    if (!t.last.contains(id)) std::cout << stray::leak::why(id);
  }
  EXPECT_EQ(t.wrong, 0u);
  EXPECT_GE(t.last.size(), planted.size() - planted.size() / 100);
  EXPECT_EQ(stray::runtime::wrong_verdicts(), 0u);
}

class churn : public ::testing::Test {
 protected:
  void TearDown() override { stray::maxprocs(procs_); }
  int procs_ = stray::maxprocs();
};

TEST_F(churn, nobody_who_can_be_woken_is_reported) {
  dice d(seed());
  may_plant = 1500;
  motion program(d.below(100'000), {});
  tally t;
  auto end = steady::now() + std::chrono::seconds(setting("STRAY_CHURN_SECONDS", 3, 600));
  for (int i = 0; i <= 10 || steady::now() < end; i++) {
    if (i % 50 == 49) stray::maxprocs(1 << d.below(4));
    ask(t);
    std::this_thread::sleep_for(std::chrono::microseconds(d.below(10'000)));
  }
  program.stop();
  t.print("churn");
  EXPECT_GT(t.detections, 10u);
  EXPECT_EQ(t.wrong, 0u);
  expect_rest(t);
}

// Small and fast, so that many instants can be looked at.
TEST_F(churn, at_any_instant) {
  dice d(seed());
  motion program(d.below(100'000), {.memory_threads = 1, .post_threads = 1, .drivers = 2});
  tally stopped, looked;
  long instants = setting("STRAY_CHURN_INSTANTS", 300, 100'000);
  for (long i = 0; i < instants; i++) {
    may_plant = static_cast<std::size_t>(20 + i / 100);
    if (i % 500 == 499) stray::maxprocs(1 << d.below(4));
    auto end = steady::now() + std::chrono::microseconds(d.below(1000));
    while (steady::now() < end) {
    }
    i % 2 == 0 ? ask_stopped(stopped) : ask(looked);
  }
  program.stop();
  stopped.print("stopped at any instant");
  looked.print("asked at any instant");
  EXPECT_EQ(stopped.wrong + looked.wrong, 0u);
  EXPECT_LE(stopped.incomplete, stopped.detections / 100);  // on a busy machine a thread may not answer in time
  expect_rest(looked);
}

// --- the same with faults ------------------------------------------------------------------------------------------------------------
// Calls f with each child process of ours, time and again, until it is destroyed.
class on_children {
 public:
  explicit on_children(std::function<void(pid_t)> f)
      : thread_([this, f = std::move(f)] {
          while (!quit_) {
            if (DIR* tasks = opendir("/proc/self/task")) {
              while (dirent* one = readdir(tasks)) {
                std::ifstream list("/proc/self/task/" + std::string(one->d_name) + "/children");
                for (pid_t child = 0; list >> child;) f(child);
              }
              closedir(tasks);
            }
            std::this_thread::yield();
          }
        }) {}
  ~on_children() {
    quit_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> quit_{false};
  std::thread thread_;
};

void spin(unsigned us) {
  auto end = steady::now() + std::chrono::microseconds(us);
  while (steady::now() < end) {
  }
}
void hold_up(pid_t child, unsigned us) {
  kill(child, SIGSTOP);
  std::this_thread::sleep_for(std::chrono::microseconds(us));
  kill(child, SIGCONT);
}

struct fault {
  const char* name;
  bool may_spoil_all;  // no detection need be complete
  std::function<std::shared_ptr<void>(unsigned seed)> begin;
};
void PrintTo(const fault& f, std::ostream* out) { *out << f.name; }  // for googletest: in the tests' names
template <class T>
std::shared_ptr<void> keep(T* t) {
  return std::shared_ptr<T>(t);
}
struct low_limit {
  low_limit(decltype(RLIMIT_NOFILE) what, rlim_t value) : what_(what) {
    if (getrlimit(what, &usual_) != 0) std::abort();
    rlimit low{value, usual_.rlim_max};
    if (setrlimit(what, &low) != 0) std::abort();
  }
  ~low_limit() { setrlimit(what_, &usual_); }
  decltype(RLIMIT_NOFILE) what_;
  rlimit usual_{};
};
struct busy_thread {  // runs f time and again
  explicit busy_thread(std::function<void()> f)
      : thread([this, f = std::move(f)] {
          while (!quit) f();
        }) {}
  ~busy_thread() {
    quit = true;
    thread.join();
  }
  std::atomic<bool> quit{false};
  std::thread thread;
};

// Only ptrace stops it.
busy_thread* masked_thread() {
  return new busy_thread([] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
  });
}

const fault faults[] = {
    {"child_killed", false,
     [](unsigned s) {
       return keep(new on_children([d = std::make_shared<dice>(s)](pid_t child) {
         if (d->below(3) == 0) return;
         spin(d->below(8000));
         kill(child, SIGKILL);
       }));
     }},
    {"child_held_up", false,
     [](unsigned s) {
       return keep(new on_children([d = std::make_shared<dice>(s)](pid_t child) { hold_up(child, d->below(20'000)); }));
     }},
    {"child_without_memory", false,
     [](unsigned s) {
       return keep(new on_children([d = std::make_shared<dice>(s)](pid_t child) {
         if (d->below(2) == 0) return;
         rlimit none{0, 0};
         prlimit(child, RLIMIT_AS, &none, nullptr);
       }));
     }},
    {"no_free_descriptor", true, [](unsigned) { return keep(new low_limit(RLIMIT_NOFILE, 3)); }},
    {"thread_that_blocks_signals", true, [](unsigned) { return keep(masked_thread()); }},
    {"helper_for_ptrace_killed_or_held_up", true,
     [](unsigned s) {
       struct both {
         std::unique_ptr<busy_thread> masked{masked_thread()};
         on_children spoil;
         explicit both(unsigned seed)
             : spoil([d = std::make_shared<dice>(seed)](pid_t child) {
                 spin(d->below(3000));
                 const unsigned what = d->below(4);
                 if (what == 0) kill(child, SIGKILL);
                 if (what == 1) hold_up(child, d->below(20'000));
               }) {}
       };
       return keep(new both(s));
     }},
    {"signals_and_threads", false,
     [](unsigned) {
       struct sigaction nothing {};
       nothing.sa_handler = [](int) {};
       nothing.sa_flags = SA_RESTART;
       sigaction(SIGUSR1, &nothing, nullptr);
       return keep(new busy_thread([] {
         std::thread one([] { kill(getpid(), SIGUSR1); });
         one.join();
       }));
     }},
    {"forks", false,
     [](unsigned) {
       return keep(new busy_thread([] {
         pid_t child = fork();
         if (child == 0) _exit(0);
         int status = 0;
         if (child > 0) waitpid(child, &status, 0);
         std::this_thread::yield();
       }));
     }},
};

class churn_with : public churn, public ::testing::WithParamInterface<fault> {};

TEST_P(churn_with, fault) {
  dice d(seed());
  may_plant = 300;
  motion program(d.below(100'000), {.memory_threads = 2, .post_threads = 1, .drivers = 4});
  tally t, after;
  {
    std::shared_ptr<void> spoilt = GetParam().begin(d.below(100'000));
    auto end = steady::now() + std::chrono::seconds(setting("STRAY_CHURN_SECONDS", 1, 60));
    while (t.detections < 10 || (!GetParam().may_spoil_all && t.incomplete == t.detections) || steady::now() < end) ask(t);
  }
  for (int i = 0; i < 5; i++) ask(after);
  program.stop();
  t.print(GetParam().name);
  after.print("after it");
  EXPECT_EQ(t.wrong + after.wrong, 0u);
  EXPECT_EQ(after.incomplete, 0u);
  expect_rest(after);
}

INSTANTIATE_TEST_SUITE_P(each, churn_with, ::testing::ValuesIn(faults),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace

#endif
