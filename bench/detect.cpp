// One detection on a given shape: how long threads stand still, how long the report takes. bench/detect.sh runs it beside Go's.
//
//   bench_detect chain MB [G]    a linked list through MB of 40-byte blocks, in allocation order, and G (10) leaked goroutines
//   bench_detect tree MB [G]     the same blocks as a binary tree in heap order, each with its parent and the one before
//   bench_detect graph MB [G]    the same blocks with four random pointers each
//   bench_detect leaked N        N leaked goroutines, each on its own channel
//   bench_detect mixed N         N leaked ones and N live ones on a global channel
//   bench_detect daisy N         N live ones, each receives from a channel that only the one before holds, the first from a global one
//   bench_detect waiters N       N leaked ones that wait for one mutex, whose owner is leaked
// Rows: shape,n,metric,value. Medians of REPEAT (5) detections after the first. walk and judge: million blocks a second, in which the
// snapshot lists the heap and decides.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sys/resource.h>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "leak/detect/detector.h"
#include "leak/model/findings.h"

namespace {

struct block {  // 40 bytes
  block* next[4];
  std::int64_t value;
};
block* root;
stray::chan<int> open_channel;

[[gnu::noinline]] void build(std::size_t megabytes, char shape) {
  std::size_t n = (megabytes << 20) / 48;
  std::vector<block*> all(n);
  for (std::size_t i = 0; i < n; i++) all[i] = static_cast<block*>(std::calloc(1, sizeof(block)));
  std::uint64_t x = 88172645463325252u;
  for (std::size_t i = 0; i < n; i++) {
    if (shape == 't') {
      for (std::size_t child = 1; child <= 2 && 2 * i + child < n; child++) all[i]->next[child] = all[2 * i + child];
      if (i != 0) all[i]->next[0] = all[(i - 1) / 2], all[i]->next[3] = all[i - 1];
      continue;
    }
    if (i + 1 < n) all[i]->next[0] = all[i + 1];
    for (int k = 1; k < 4 && shape == 'g'; k++) {
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      all[i]->next[k] = all[x % n];
    }
  }
  root = all[0];
}

[[gnu::noinline]] void leak(std::size_t n) {
  for (std::size_t i = 0; i < n; i++) {
    auto ch = stray::make_chan<int>();
    stray::go([ch] { ch.recv(); });
  }
}

[[gnu::noinline]] void daisy_chain(std::size_t n) {
  stray::chan<int> in = open_channel;
  for (std::size_t i = 0; i < n; i++) {
    auto out = stray::make_chan<int>();
    stray::go([in = std::move(in), out] { out.send(in.recv().value_or(0)); });
    in = std::move(out);
  }
}

[[gnu::noinline]] void wait_for_one_mutex(std::size_t n) {
  auto m = std::make_shared<stray::mutex>();
  stray::go([m] {
    m->lock();
    stray::make_chan<int>().recv();
  });
  stray::testing::until_parked(1);
  for (std::size_t i = 0; i < n; i++) stray::go([m] { m->lock(); });
}

double ms(std::chrono::nanoseconds d) { return std::chrono::duration<double, std::milli>(d).count(); }
// Of the process and its snapshots: what a loaded machine does not blur as it does the clock.
double cpu_ms() {
  double sum = 0;
  for (int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage u{};
    getrusage(who, &u);
    for (const timeval& t : {u.ru_utime, u.ru_stime})
      sum += static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_usec) / 1e3;
  }
  return sum;
}
double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: %s chain|tree|graph|leaked|mixed|daisy|waiters N [GOROUTINES]\n", argv[0]);
    return 2;
  }
  const char* shape = argv[1];
  auto n = static_cast<std::size_t>(std::atoll(argv[2]));
  std::size_t expected = argc == 4 ? static_cast<std::size_t>(std::atoll(argv[3])) : 10;
  open_channel = stray::make_chan<int>();
  bool heap = std::strcmp(shape, "chain") == 0 || std::strcmp(shape, "tree") == 0 || std::strcmp(shape, "graph") == 0;
  if (heap) {
    build(n, shape[0]);
    leak(expected);
    stray::testing::until_parked(expected);
  } else if (std::strcmp(shape, "daisy") == 0) {
    expected = 0;
    daisy_chain(n);
    stray::testing::until_parked(n);
  } else if (std::strcmp(shape, "waiters") == 0) {
    expected = n + 1;
    wait_for_one_mutex(n);
    stray::testing::until_parked(n + 1);
  } else {
    expected = n;
    leak(n);
    bool mixed = std::strcmp(shape, "mixed") == 0;
    for (std::size_t i = 0; i < n && mixed; i++) {
      stray::go([] { open_channel.recv(); });
    }
    stray::testing::until_parked(mixed ? 2 * n : n);
  }
  const char* repeat = std::getenv("REPEAT");
  int rounds = repeat != nullptr ? std::atoi(repeat) : 5;
  std::vector<double> pauses, totals, cpu, walk, judge;
  for (int i = 0; i <= rounds; i++) {
    double used = cpu_ms();
    auto began = std::chrono::steady_clock::now();
    stray::leak::report r = stray::leak::find();
    double total = ms(std::chrono::steady_clock::now() - began);
    if (r.total() != expected || !r.complete()) {
      std::printf("%s,%zu,wrong,%zu\n", shape, n, r.total());
      for (const std::string& note : r.notes()) std::fprintf(stderr, "%s\n", note.c_str());
      return 1;
    }
    if (i == 0) {
      std::printf("%s,%zu,first_ms,%.2f\n", shape, n, total);
      continue;
    }
    pauses.push_back(ms(r.pause()));
    totals.push_back(total);
    cpu.push_back(cpu_ms() - used);
    if (!heap) continue;
    std::shared_ptr<const stray::leak::findings> f = stray::leak::detect();
    walk.push_back(static_cast<double>(f->blocks) / 1e3 / ms(f->walked));
    judge.push_back(static_cast<double>(f->blocks) / 1e3 / ms(f->judged));
  }
  auto row = [&](const char* metric, const std::vector<double>& v) {
    if (!v.empty()) std::printf("%s,%zu,%s,%.2f\n", shape, n, metric, median(v));
  };
  row("pause_ms", pauses), row("total_ms", totals), row("cpu_ms", cpu), row("walk", walk), row("judge", judge);
}
