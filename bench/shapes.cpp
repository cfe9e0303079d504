// The shapes of peers/shapes.hpp on stray. Usage: bench_shapes WORKERS SHAPE as the peers' programs, else Google Benchmark's options.
#include <benchmark/benchmark.h>

#include <string>
#include <utility>

#include <stray/stray.hpp>
#include "bench/peers/shapes.hpp"

namespace {

struct ours {
  using wait_group = stray::wait_group;
  using mutex = stray::mutex;
  using shared_mutex = stray::shared_mutex;

  template <class F>
  static void go(F f) {
    stray::go(std::move(f));
  }
  static void yield() { stray::yield(); }
  static void sleep_ms(int ms) { stray::sleep_for(std::chrono::milliseconds(ms)); }

  template <class T>
  struct chan {
    explicit chan(int capacity) : c(stray::make_chan<T>(static_cast<std::size_t>(capacity))) {}
    void send(T v) { c.send(v); }
    void recv(T& v) {
      if (auto got = c.recv()) v = *got;
    }
    stray::chan<T> c;
  };

  static int select4(chan<int>& a, chan<int>& b, chan<int>& c, chan<int>& d) {
    int got = 0;
    auto take = [&](std::optional<int> v) { got = *v; };
    stray::select(stray::on_recv(a.c, take), stray::on_recv(b.c, take), stray::on_recv(c.c, take), stray::on_recv(d.c, take));
    return got;
  }
  static int select_of(const std::vector<chan<int>*>& c) {
    return [&]<std::size_t... i>(std::index_sequence<i...>) {
      int got = 0;
      auto take = [&](std::optional<int> v) { got = *v; };
      stray::select(stray::on_recv(c[i]->c, take)...);
      return got;
    }(std::make_index_sequence<64>());
  }

  // From the root's cancel until who waits on each of n contexts has ended.
  static double cancel_tree(long n) {
    auto root = stray::with_cancel(stray::background());
    std::vector<stray::context> all{root.ctx};
    for (long i = 1; i < n; i++) all.push_back(stray::with_cancel(all[static_cast<std::size_t>(i - 1) / 2]).ctx);
    stray::wait_group started, ended;
    started.add(n);
    ended.add(n);
    for (const stray::context& ctx : all)
      stray::go([&, ctx] {
        started.done();
        ctx.done().recv();
        ended.done();
      });
    started.wait();
    auto t = shapes::clock::now();
    root.cancel();
    ended.wait();
    return shapes::ns_since(t) / static_cast<double>(n);
  }

  template <class F>
  static void run(int workers, F f) {
    stray::maxprocs(workers);
    stray::wait_group done;
    done.add(1);
    stray::go([&] {
      f();
      done.done();
    });
    done.wait();
  }
};

double in_seconds(const shapes::metric& m) {
  std::string_view name = m.name;
  return m.value * (name.ends_with("ms") ? 1e-3 : name.ends_with("us") ? 1e-6 : 1e-9);
}

void measure(benchmark::State& state, const shapes::shape& shape, int workers) {
  for (auto _ : state) {
    shapes::metrics got;
    ours::run(workers, [&] { got = shape.run(); });
    state.SetIterationTime(in_seconds(got[0]));
    for (std::size_t i = 1; i < got.size(); i++) state.counters[got[i].name] = got[i].value;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && argv[1][0] != '-') return shapes::run<ours>(argc, argv);
  static const std::vector<shapes::shape> list = shapes::all<ours>();
  for (const shapes::shape& one : list)
    for (int workers : {1, 2})
      benchmark::RegisterBenchmark((std::string(one.name) + "/" + std::to_string(workers)).c_str(),
                                   [&one, workers](benchmark::State& state) { measure(state, one, workers); })
          ->UseManualTime()
          ->Iterations(1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
