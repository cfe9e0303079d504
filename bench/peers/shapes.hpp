// The shapes of work that the comparison runs on every C++ runtime: `docs/benchmarks.md` says what each measures.
//
// A runtime is a struct of static functions and types, a part of which may be missing (then its shapes are, too):
//   run(workers, f): f in a task of it, on so many workers. go(f). yield(). sleep_ms(n).
//   wait_group{add, done, wait}; mutex; shared_mutex; chan<T>(capacity){send(v), recv(v)}; event{signal, wait}, which resets itself.
//   select4(a, b, c, d), select_of(chans): the value received. cancel_tree(n): nanoseconds for each of n contexts.
//
// 1. A shape warms up with a tenth of its work or less in the same process, then measures once. The script repeats processes.
// 2. Tasks end by themselves; where peers cannot close a channel, a value ends the reader.
// 3. Results are checked where there are any: a wrong sum ends the process.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace shapes {

struct metric {
  const char* name;
  double value;
};
using metrics = std::vector<metric>;
using clock = std::chrono::steady_clock;

inline double ns_since(clock::time_point t) { return std::chrono::duration<double, std::nano>(clock::now() - t).count(); }
inline double cpu_ms() {
  rusage u;
  getrusage(RUSAGE_SELF, &u);
  return 1e3 * static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         1e-3 * static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}
inline double resident_bytes() {
  long all = 0, resident = 0;
  std::FILE* f = std::fopen("/proc/self/statm", "r");
  if (f == nullptr || std::fscanf(f, "%ld %ld", &all, &resident) != 2) resident = 0;
  if (f != nullptr) std::fclose(f);
  return static_cast<double>(resident) * 4096;
}
[[noreturn]] inline void wrong(const char* shape) {
  std::fprintf(stderr, "%s: a wrong result\n", shape);
  std::_Exit(1);
}
// Where peers have fixed stacks: theirs are so large.
inline std::size_t stack_bytes() {
  const char* text = std::getenv("BENCH_STACK");
  return text != nullptr ? static_cast<std::size_t>(std::atol(text)) : 16384;
}

template <class R>
struct of {
  using wait_group = typename R::wait_group;

  // --- tasks -------------------------------------------------------------------------------------------------------------------------
  static double spawn(long n) {
    wait_group all;
    all.add(n);
    auto t = clock::now();
    for (long i = 0; i < n; i++) R::go([&all] { all.done(); });
    all.wait();
    return ns_since(t) / static_cast<double>(n);
  }
  static double spawn_100(long n) {
    auto t = clock::now();
    for (long i = 0; i < n; i += 100) {
      wait_group all;
      all.add(100);
      for (int j = 0; j < 100; j++) R::go([&all] { all.done(); });
      all.wait();
    }
    return ns_since(t) / static_cast<double>(n);
  }
  // A closure of 100 bytes and its pointer.
  static double spawn_large(long n) {
    std::array<unsigned char, 100> bytes{};
    bytes[99] = 1;
    auto t = clock::now();
    std::atomic<long> sum{0};
    for (long i = 0; i < n; i += 100) {
      wait_group all;
      all.add(100);
      for (int j = 0; j < 100; j++)
        R::go([&all, &sum, bytes] {
          sum.fetch_add(bytes[99], std::memory_order_relaxed);
          all.done();
        });
      all.wait();
    }
    double ns = ns_since(t) / static_cast<double>(n);
    if (sum != n) wrong("spawn_large");
    return ns;
  }
  static double spawn_one(long n) {  // and wait for it
    auto t = clock::now();
    for (long i = 0; i < n; i++) {
      wait_group one;
      one.add(1);
      R::go([&one] { one.done(); });
      one.wait();
    }
    return ns_since(t) / static_cast<double>(n);
  }
  static double yields(long tasks, long n) {
    wait_group all;
    all.add(tasks);
    auto t = clock::now();
    for (long i = 0; i < tasks; i++)
      R::go([&all, tasks, n] {
        for (long k = 0; k < n / tasks; k++) R::yield();
        all.done();
      });
    all.wait();
    return ns_since(t) / static_cast<double>(n);
  }

  // --- channels ----------------------------------------------------------------------------------------------------------------------
  static double ping_pong(long n) {
    wait_group both;
    both.add(2);
    if constexpr (requires { typename R::template chan<int>; }) {
      typename R::template chan<int> a(0), b(0);
      auto t = clock::now();
      R::go([&] {
        for (long i = 0; i < n; i++) {
          int v = 0;
          a.recv(v);
          b.send(v);
        }
        both.done();
      });
      R::go([&] {
        for (long i = 0; i < n; i++) {
          int v = 0;
          a.send(static_cast<int>(i));
          b.recv(v);
        }
        both.done();
      });
      both.wait();
      return ns_since(t) / static_cast<double>(n);
    } else {
      typename R::event a, b;
      auto t = clock::now();
      R::go([&] {
        for (long i = 0; i < n; i++) a.wait(), b.signal();
        both.done();
      });
      R::go([&] {
        for (long i = 0; i < n; i++) a.signal(), b.wait();
        both.done();
      });
      both.wait();
      return ns_since(t) / static_cast<double>(n);
    }
  }
  // `pairs` senders and receivers on each of `chans` channels.
  static double buffered(long n, int chans, int pairs, int capacity) {
    std::vector<std::unique_ptr<typename R::template chan<int>>> all;
    for (int i = 0; i < chans; i++) all.push_back(std::make_unique<typename R::template chan<int>>(capacity));
    const long each = n / chans / pairs;
    wait_group sent, received;
    sent.add(chans * pairs);
    received.add(chans * pairs);
    auto t = clock::now();
    for (auto& owned : all) {
      auto* c = owned.get();
      for (int i = 0; i < pairs; i++) {
        R::go([&sent, c, each] {
          for (long k = 0; k < each; k++) c->send(static_cast<int>(k));
          sent.done();
        });
        R::go([&received, c] {
          for (int v = 0; v >= 0;) c->recv(v);
          received.done();
        });
      }
    }
    sent.wait();
    for (auto& c : all)
      for (int i = 0; i < pairs; i++) c->send(-1);
    received.wait();
    return ns_since(t) / static_cast<double>(n);
  }
  // One sender, 8 that take from it and give to one receiver.
  static double fan(long n) {
    typename R::template chan<int> in(0), out(0);
    wait_group all;
    all.add(10);
    auto t = clock::now();
    for (int i = 0; i < 8; i++)
      R::go([&, n] {
        for (long k = 0; k < n / 8; k++) {
          int v = 0;
          in.recv(v);
          out.send(v);
        }
        all.done();
      });
    R::go([&, n] {
      for (long k = 0; k < n / 8 * 8; k++) in.send(1);
      all.done();
    });
    R::go([&, n] {
      long sum = 0;
      for (long k = 0; k < n / 8 * 8; k++) {
        int v = 0;
        out.recv(v);
        sum += v;
      }
      if (sum != n / 8 * 8) wrong("fan");
      all.done();
    });
    all.wait();
    return ns_since(t) / static_cast<double>(n);
  }
  // Per item and stage.
  static double pipeline(long n, int stages) {
    std::vector<std::unique_ptr<typename R::template chan<int>>> c;
    for (int i = 0; i <= stages; i++) c.push_back(std::make_unique<typename R::template chan<int>>(0));
    wait_group all;
    all.add(stages + 2);
    auto t = clock::now();
    for (int i = 0; i < stages; i++) {
      auto *in = c[static_cast<std::size_t>(i)].get(), *out = c[static_cast<std::size_t>(i) + 1].get();
      R::go([&all, in, out, n] {
        for (long k = 0; k < n; k++) {
          int v = 0;
          in->recv(v);
          out->send(v + 1);
        }
        all.done();
      });
    }
    R::go([&, n] {
      for (long k = 0; k < n; k++) c.front()->send(0);
      all.done();
    });
    R::go([&, n, stages] {
      for (long k = 0; k < n; k++) {
        int v = 0;
        c.back()->recv(v);
        if (v != stages) wrong("pipeline");
      }
      all.done();
    });
    all.wait();
    return ns_since(t) / static_cast<double>(n * stages);
  }
  template <int cases>
  static double select(long n) {
    std::vector<std::unique_ptr<typename R::template chan<int>>> owned;
    std::vector<typename R::template chan<int>*> c;
    for (int i = 0; i < cases; i++) {
      owned.push_back(std::make_unique<typename R::template chan<int>>(0));
      c.push_back(owned.back().get());
    }
    wait_group all;
    all.add(cases + 1);
    auto t = clock::now();
    for (auto* one : c)
      R::go([one, n, &all] {
        for (long k = 0; k < n / cases; k++) one->send(1);
        all.done();
      });
    R::go([&, n] {
      long sum = 0;
      for (long k = 0; k < n / cases * cases; k++) {
        if constexpr (cases == 4) {
          sum += R::select4(*c[0], *c[1], *c[2], *c[3]);
        } else {
          sum += R::select_of(c);
        }
      }
      if (sum != n / cases * cases) wrong("select");
      all.done();
    });
    all.wait();
    return ns_since(t) / static_cast<double>(n);
  }

  // --- locks -------------------------------------------------------------------------------------------------------------------------
  static double mutex_of(long tasks, long n) {
    typename R::mutex m;
    long count = 0;
    wait_group all;
    all.add(tasks);
    auto t = clock::now();
    for (long i = 0; i < tasks; i++)
      R::go([&, tasks, n] {
        for (long k = 0; k < n / tasks; k++) {
          m.lock();
          count++;
          m.unlock();
        }
        all.done();
      });
    all.wait();
    double ns = ns_since(t) / static_cast<double>(n);
    if (count != n / tasks * tasks) wrong("mutex");
    return ns;
  }
  // Eight tasks; one operation of 100 writes.
  static double read_mostly(long n) {
    typename R::shared_mutex m;
    long count = 0;
    std::atomic<long> seen{0};
    wait_group all;
    all.add(8);
    auto t = clock::now();
    for (int i = 0; i < 8; i++)
      R::go([&, n] {
        long sum = 0;
        for (long k = 0; k < n / 8; k++) {
          if (k % 100 == 99) {
            m.lock();
            count++;
            m.unlock();
          } else {
            m.lock_shared();
            sum += count;
            m.unlock_shared();
          }
        }
        seen += sum;
        all.done();
      });
    all.wait();
    double ns = ns_since(t) / static_cast<double>(n);
    if (count != n / 8 / 100 * 8) wrong("read_mostly");
    return ns;
  }

  // --- trees of tasks ----------------------------------------------------------------------------------------------------------------
  template <class Chan>
  static void sky(Chan* to, long number, long size) {
    if (size == 1) {
      to->send(number);
      return;
    }
    Chan from(0);
    auto* c = &from;
    long sum = 0;
    for (int i = 0; i < 10; i++) R::go([c, first = number + i * (size / 10), part = size / 10] { sky(c, first, part); });
    for (int i = 0; i < 10; i++) {
      long v = 0;
      from.recv(v);
      sum += v;
    }
    to->send(sum);
  }
  static double skynet(long n) {
    typename R::template chan<long> c(0);
    auto* to = &c;
    long sum = 0;
    auto t = clock::now();
    R::go([to, n] { sky(to, 0, n); });
    c.recv(sum);
    double ns = ns_since(t) / static_cast<double>(n);
    if (sum != n * (n - 1) / 2) wrong("skynet");
    return ns;
  }
  static long sky_join(long number, long size) {
    if (size == 1) return number;
    long part[10], sum = 0;
    wait_group all;
    all.add(10);
    for (int i = 0; i < 10; i++)
      R::go([&all, to = &part[i], first = number + i * (size / 10), size] {
        *to = sky_join(first, size / 10);
        all.done();
      });
    all.wait();
    for (long v : part) sum += v;
    return sum;
  }
  static double skynet_join(long n) {
    auto t = clock::now();
    long sum = sky_join(0, n);
    double ns = ns_since(t) / static_cast<double>(n);
    if (sum != n * (n - 1) / 2) wrong("skynet_join");
    return ns;
  }
  static long fib(int n) {
    if (n < 2) return n;
    long a = 0;
    wait_group one;
    one.add(1);
    R::go([&a, &one, n] {
      a = fib(n - 1);
      one.done();
    });
    long b = fib(n - 2);
    one.wait();
    return a + b;
  }
  // Per task.
  static double fibonacci(int n) {
    auto t = clock::now();
    long f = fib(n);
    double ns = ns_since(t);
    long a = 0, b = 1;
    for (int i = 0; i < n; i++) a = std::exchange(b, a + b);
    if (f != a) wrong("fib");
    return ns / static_cast<double>(b - 1);  // tasks: fib(n + 1) - 1
  }
  struct board {
    signed char row[14];
  };
  static long place(int n, int column, const board& b) {
    if (column == n) return 1;
    long found[14] = {};
    int rows[14], k = 0;
    for (int r = 0; r < n; r++) {
      bool free = true;
      for (int c = 0; c < column && free; c++) free = b.row[c] != r && std::abs(b.row[c] - r) != column - c;
      if (free) rows[k++] = r;
    }
    wait_group all;
    all.add(k);
    for (int i = 0; i < k; i++) {
      board next = b;
      next.row[column] = static_cast<signed char>(rows[i]);
      R::go([&all, to = &found[i], n, column, next] {
        *to = place(n, column + 1, next);
        all.done();
      });
    }
    if (k != 0) all.wait();
    long sum = 0;
    for (long f : found) sum += f;
    return sum;
  }
  // Milliseconds for all solutions with 10 queens: 35,538 tasks, none cut off.
  static double queens() {
    auto t = clock::now();
    if (place(10, 0, board{}) != 724) wrong("queens");
    return ns_since(t) / 1e6;
  }

  // --- many at rest ------------------------------------------------------------------------------------------------------------------
  static metrics parked(long n) {
    double before = resident_bytes();
    wait_group gate, all, started;
    gate.add(1);
    all.add(n);
    started.add(n);
    auto t = clock::now();
    for (long i = 0; i < n; i++) {
      R::go([&] {
        started.done();
        gate.wait();
        all.done();
      });
      if constexpr (requires { R::yield(); }) {
        if (i % 64 == 63) R::yield();
      }
    }
    started.wait();
    double create = ns_since(t) / static_cast<double>(n), bytes = (resident_bytes() - before) / static_cast<double>(n);
    t = clock::now();
    gate.done();
    all.wait();
    return {{"create_ns", create}, {"bytes", bytes}, {"wake_ns", ns_since(t) / static_cast<double>(n)}};
  }
  static metrics sleepers(long n) {
    wait_group all;
    all.add(n);
    double cpu = cpu_ms();
    auto t = clock::now();
    for (long i = 0; i < n; i++)
      R::go([&all, ms = static_cast<int>(100 + i % 100)] {
        R::sleep_ms(ms);
        all.done();
      });
    all.wait();
    return {{"wall_ms", ns_since(t) / 1e6}, {"cpu_ms", cpu_ms() - cpu}};
  }
  // How late a sleep of 1 ms comes back, in microseconds, while others are busy: talking in pairs, or computing without a word.
  static metrics lateness(bool talk, long n) {
    std::atomic<bool> stop{false};
    wait_group busy;
    busy.add(4);
    for (int i = 0; i < 4; i += 2) {
      if (talk) {
        auto pair =
            std::make_shared<std::array<typename R::template chan<int>, 2>>(std::array<typename R::template chan<int>, 2>{
                typename R::template chan<int>(0), typename R::template chan<int>(0)});
        R::go([&, pair] {
          for (int v = 0; v >= 0;) {
            (*pair)[0].recv(v);
            (*pair)[1].send(v);
          }
          busy.done();
        });
        R::go([&, pair] {
          for (int v = 0; v >= 0;) {
            (*pair)[0].send(stop ? -1 : 1);
            (*pair)[1].recv(v);
          }
          busy.done();
        });
      } else {
        for (int k = 0; k < 2; k++)
          R::go([&] {
            while (!stop.load(std::memory_order_relaxed)) {
            }
            busy.done();
          });
      }
    }
    std::vector<double> late;
    wait_group timer;
    timer.add(1);
    R::go([&, n] {
      for (long i = 0; i < n; i++) {
        auto t = clock::now();
        R::sleep_ms(1);
        late.push_back(ns_since(t) / 1e3 - 1000);
      }
      timer.done();
    });
    timer.wait();
    stop = true;
    busy.wait();
    std::sort(late.begin(), late.end());
    auto at = [&](double part) { return late[static_cast<std::size_t>(part * static_cast<double>(late.size() - 1))]; };
    return {{"p50_us", at(0.5)}, {"p99_us", at(0.99)}, {"p99.9_us", at(0.999)}};
  }
};

struct shape {
  const char* name;
  std::function<metrics()> run;
};

// Those that R has all parts for.
template <class R>
std::vector<shape> all() {
  using s = of<R>;
  constexpr bool has_chan = requires { typename R::template chan<int>; };
  constexpr bool has_yield = requires { R::yield(); };
  constexpr bool has_sleep = requires { R::sleep_ms(1); };
  std::vector<shape> list;
  auto add = [&](const char* name, auto warm, auto measure) {
    list.push_back({name, [=] {
                      warm();
                      return metrics{{"ns", measure()}};
                    }});
  };
  add(
      "spawn", [] { s::spawn(100'000); }, [] { return s::spawn(1'000'000); });
  add(
      "spawn_100", [] { s::spawn_100(100'000); }, [] { return s::spawn_100(1'000'000); });
  add(
      "spawn_large", [] { s::spawn_large(100'000); }, [] { return s::spawn_large(1'000'000); });
  add(
      "spawn_one", [] { s::spawn_one(10'000); }, [] { return s::spawn_one(500'000); });
  if constexpr (has_yield) {
    add(
        "yield_2", [] { s::yields(2, 100'000); }, [] { return s::yields(2, 4'000'000); });
    add(
        "yield_1000", [] { s::yields(1000, 100'000); }, [] { return s::yields(1000, 4'000'000); });
  }
  if constexpr (has_chan || requires { typename R::event; })
    add(
        "ping_pong", [] { s::ping_pong(10'000); }, [] { return s::ping_pong(1'000'000); });
  if constexpr (has_chan) {
    add(
        "buffered", [] { s::buffered(10'000, 1, 4, 128); }, [] { return s::buffered(4'000'000, 1, 4, 128); });
    add(
        "channels_8", [] { s::buffered(10'000, 8, 1, 16); }, [] { return s::buffered(4'000'000, 8, 1, 16); });
    add(
        "fan", [] { s::fan(10'000); }, [] { return s::fan(1'000'000); });
    add(
        "pipeline", [] { s::pipeline(100, 100); }, [] { return s::pipeline(20'000, 100); });
  }
  if constexpr (requires(typename R::template chan<int>& c) { R::select4(c, c, c, c); })
    add(
        "select_4", [] { s::template select<4>(10'000); }, [] { return s::template select<4>(2'000'000); });
  if constexpr (requires(std::vector<typename R::template chan<int>*>& c) { R::select_of(c); })
    add(
        "select_64", [] { s::template select<64>(6400); }, [] { return s::template select<64>(200'000); });
  if constexpr (requires { typename R::mutex; }) {
    add(
        "mutex_1", [] { s::mutex_of(1, 200'000); }, [] { return s::mutex_of(1, 20'000'000); });
    add(
        "mutex_8", [] { s::mutex_of(8, 80'000); }, [] { return s::mutex_of(8, 8'000'000); });
  }
  if constexpr (requires { typename R::shared_mutex; })
    add(
        "read_mostly", [] { s::read_mostly(80'000); }, [] { return s::read_mostly(8'000'000); });
  if constexpr (has_chan)
    add(
        "skynet", [] { s::skynet(1000); }, [] { return s::skynet(1'000'000); });
  add(
      "skynet_join", [] { s::skynet_join(1000); }, [] { return s::skynet_join(1'000'000); });
  add(
      "fib_25", [] { s::fibonacci(15); }, [] { return s::fibonacci(25); });
  list.push_back({"queens_10", [] { return metrics{{"ms", s::queens()}}; }});
  list.push_back({"parked", [] { return s::parked(1'000'000); }});
  if constexpr (has_sleep) list.push_back({"sleepers", [] { return s::sleepers(100'000); }});
  if constexpr (has_sleep && has_chan) {
    list.push_back({"late_talking", [] { return s::lateness(true, 2000); }});
    list.push_back({"late_computing", [] { return s::lateness(false, 1000); }});
  }
  if constexpr (requires { R::cancel_tree(1L); })
    add(
        "cancel_tree", [] { R::cancel_tree(1000); }, [] { return R::cancel_tree(10'000); });
  return list;
}

// WORKERS SHAPE: prints a line `METRIC VALUE` for each; nothing when R lacks the shape. No arguments: the names.
template <class R>
int run(int argc, char** argv) {
  std::vector<shape> list = all<R>();
  if (argc < 3) {
    for (const shape& one : list) std::puts(one.name);
    return 0;
  }
  for (const shape& one : list) {
    if (std::string_view(argv[2]) != one.name) continue;
    R::run(std::atoi(argv[1]), [&] {
      for (const metric& m : one.run()) std::printf("%s %.3f\n", m.name, m.value);
      std::fflush(stdout);
    });
  }
  std::fflush(stdout);
  std::_Exit(0);  // peers' own ends take seconds, or hang
}

}  // namespace shapes
