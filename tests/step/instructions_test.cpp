// How many instructions the hot paths take, on one worker, against those on record: times are too noisy to fail a test. Counted by stepping
// through them, so exactly; of nine counts the least, since the watcher and timers come in between.
// STRAY_UPDATE_INSTRUCTIONS=1 records anew.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unistd.h>

#include <stray/stray.hpp>
#include "runtime/doorbell.h"
#include "runtime/watcher.h"
#include "single_step.hpp"

namespace {

// To the watcher a goroutine that is stepped on a busy machine is stuck. It would go on in another thread, which nobody steps: SIGTRAP.
// From the constructor's return on the watcher does nothing; it must have been started.
class stopped_watcher {
 public:
  stopped_watcher() {
    static constexpr timespec nap{0, 1'000'000};
    stopped_ = true;
    std::signal(SIGPROF, [](int) {
      for (stops_ = true; stopped_;) nanosleep(&nap, nullptr);
    });
    while (stray::runtime::watcher_tid() == 0) nanosleep(&nap, nullptr);
    if (tgkill(getpid(), stray::runtime::watcher_tid(), SIGPROF) != 0) std::abort();
    while (!stops_) nanosleep(&nap, nullptr);
  }
  ~stopped_watcher() { stopped_ = false; }
  stopped_watcher(const stopped_watcher&) = delete;
  stopped_watcher& operator=(const stopped_watcher&) = delete;

 private:
  static inline std::atomic<bool> stopped_{false}, stops_{false};
};

constexpr double more_allowed = 1.10, less_noticed = 0.85;

std::uint64_t steps(const std::function<void()>& before, const std::function<void()>& body,
                    const std::function<void()>& after) {
  std::uint64_t least = ~std::uint64_t{0};
  for (int i = 0; i < 9; i++) {
    before();
    least = std::min(least, single_step::run([](const ucontext_t&) {}, body));
    after();
  }
  return least;
}

// By name; each path's own, without what stepping adds.
std::map<std::string, std::uint64_t> count_all() {
  std::map<std::string, std::uint64_t> counts;
  auto nothing = [] {};
  const std::uint64_t stepping = steps(nothing, nothing, nothing);
  auto add = [&](const char* name, auto before, auto body, auto after) {
    for (int i = 0; i < 100; i++) before(), body(), after();
    counts[name] = steps(before, body, after) - stepping;
  };
  static stray::mutex m;
  add(
      "lock", nothing, [] { m.lock(); }, [] { m.unlock(); });
  add(
      "unlock", [] { m.lock(); }, [] { m.unlock(); }, nothing);
  static stray::shared_mutex s;
  add(
      "lock_shared", nothing, [] { s.lock_shared(); }, [] { s.unlock_shared(); });
  add(
      "unlock_shared", [] { s.lock_shared(); }, [] { s.unlock_shared(); }, nothing);
  auto buffered = stray::make_chan<int>(4);
  add(
      "send to a buffer", nothing, [&] { buffered.send(1); }, [&] { buffered.recv(); });
  add(
      "recv from a buffer", [&] { buffered.send(1); }, [&] { buffered.recv(); }, nothing);
  add(
      "select of four, one ready", [&] { buffered.send(1); },
      [&, a = stray::make_chan<int>(), b = stray::make_chan<int>(), c = stray::make_chan<int>()] {
        auto take = [](std::optional<int>) {};
        stray::select(stray::on_recv(a, take), stray::on_recv(b, take), stray::on_recv(c, take),
                      stray::on_recv(buffered, take));
      },
      nothing);
  add(
      "spawn", nothing, [] { stray::go([] {}); }, [] { stray::yield(); });
  add(
      "run and end", [] { stray::go([] {}); }, [] { stray::yield(); }, nothing);
  auto to = stray::make_chan<int>(), back = stray::make_chan<int>();
  stray::go([to, back] {
    for (int v : to) back.send(v);
  });
  add(
      "round trip over channels", nothing, [&] { to.send(1), back.recv(); }, nothing);
  to.close();
  bool stop = false;
  stray::wait_group other;
  other.go([&] {
    while (!stop) stray::yield();
  });
  add(
      "yield to another and back", nothing, [] { stray::yield(); }, nothing);
  stop = true;
  other.wait();
  return counts;
}

TEST(instructions, of_hot_paths_are_those_on_record) {
#if !defined(__GNUC__) || defined(__clang__) || __GNUC__ != 12 || !defined(__OPTIMIZE__)
  GTEST_SKIP() << "on record for g++ 12 -O2";
#endif
  stray::maxprocs(1);
  std::map<std::string, std::uint64_t> counts;
  stray::wait_group done;
  done.go([&] {
    stopped_watcher stopped;
    counts = count_all();
  });
  done.wait();
  constexpr const char* path = STRAY_SOURCE_DIR "/tests/step/instructions.txt";
  if (std::getenv("STRAY_UPDATE_INSTRUCTIONS") != nullptr) {
    std::ofstream out(path);
    for (const auto& [name, n] : counts) out << n << " " << name << "\n";
  }
  std::ifstream in(path);
  std::map<std::string, std::uint64_t> recorded;
  std::string name;
  for (std::uint64_t n = 0; in >> n && std::getline(in >> std::ws, name);) recorded[name] = n;
  ASSERT_EQ(recorded.size(), counts.size()) << path;
  for (const auto& [path_name, n] : counts) {
    ASSERT_TRUE(recorded.count(path_name) == 1) << path_name;
    auto was = static_cast<double>(recorded[path_name]), now = static_cast<double>(n);
    std::printf("%-28s %4.0f instructions, %4.0f on record\n", path_name.c_str(), now, was);
    EXPECT_LE(now, was * more_allowed + 1) << path_name << " has become longer";
    EXPECT_GE(now, was * less_noticed - 1) << path_name << " has become shorter: record it with STRAY_UPDATE_INSTRUCTIONS=1";
  }
}

}  // namespace
