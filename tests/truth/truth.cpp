// The truth fuzzer: plays random scenes against the detector, and knows of each waiter whether something alive can still wake it.
//
// A scene (scene.hpp) is a handful of waiters, the only pointer to what wakes each one, the places (places.hpp) between which those
// pointers travel, threads and goroutines that ask for reports meanwhile, and noise. At its end every pointer is taken out of its place and
// used, so who was reported until then was reported wrongly. What is found: a living one that is reported or reclaimed; a leak that is
// missed at rest although nothing stale can hide it; a detection that dies; a crash, a hang.
//
// The fuzzer must not know where things are: a copy of a pointer in its own memory would keep alive what it watches, and it could never fail.
// That it can is shown by mutations.py, which breaks one rule of the library at a time.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "places.hpp"
#include "play.hpp"
#include "runner.hpp"

namespace truth {

void scrub() {
  volatile char room[12'288];
  for (char volatile& c : room) c = 0;
  asm volatile("" : : "r"(room) : "memory");
}

const std::vector<place_kind>& all_places() {
  static const std::vector<place_kind> all = [] {
    std::vector<place_kind> to;
    add_memory_places(to);
    add_thread_places(to);
    add_signal_places(to);
    add_stray_places(to);
    add_fiber_places(to);
    add_kernel_places(to);
    add_open_places(to);
    return to;
  }();
  return all;
}

namespace {

constexpr const char* usage = R"(truth: plays random scenes, and knows who is alive

  truth                      fresh seeds for 10 seconds
  truth --seconds N          fresh seeds for so long; --rounds N: so many scenes
  truth --from N             seeds N, N + 1, ... instead of fresh ones
  truth --seed N             that seed's scene, until it fails, 20 times at most (--tries N)
  truth --scene TEXT         that scene, likewise
  truth --cover              every place at least once, in fixed scenes
    --only a,b (--places)    only names that begin so, of each sort that has such: places (--list), and waiters, noises, askers,
                             wheres and ats (scene.cpp names them)
    --without a,b            nothing whose name begins so
    --open                   places that docs/guarantees.md calls open for waiters of each kind: failures are expected. Without
                             it only for those that do not lead to the hidden block: there likely is the worst verdict
    --jobs N                 so many scenes at a time (1)
    --go-on                  do not stop at the first failure; count kinds
    --no-shrink              print failing scenes as they are; --shrink-seconds N (60)
    --let-die                a detection whose process dies is counted, and no failure
    --show                   print each scene
The status is 1 if something failed.
)";

struct settings {
  double seconds = 10, shrink_seconds = 60;
  unsigned long long rounds = 0, from = 0, seed = 0;
  unsigned jobs = 1, tries = 20;
  std::string scene_text, selection;  // selection: the options that a seed's scene depends on
  std::vector<std::string> only, without;
  bool open = false, cover = false, list = false, go_on = false, shrink = true, show = false;
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) parts.push_back(part);
  return parts;
}

settings read_arguments(int argc, char** argv) {
  settings s;
  auto value = [&](int& i) -> std::string {
    if (i + 1 >= argc) throw std::runtime_error(std::string(argv[i]) + " lacks its value");
    return argv[++i];
  };
  for (int i = 1; i < argc; i++) {
    std::string a = argv[i];
    if (a == "--seconds")
      s.seconds = std::stod(value(i));
    else if (a == "--rounds")
      s.rounds = std::stoull(value(i));
    else if (a == "--from")
      s.from = std::stoull(value(i));
    else if (a == "--seed")
      s.seed = std::stoull(value(i));
    else if (a == "--tries")
      s.tries = static_cast<unsigned>(std::stoul(value(i)));
    else if (a == "--scene")
      s.scene_text = value(i);
    else if (a == "--cover")
      s.cover = true;
    else if (a == "--only" || a == "--places")
      s.only = split(value(i));
    else if (a == "--without")
      s.without = split(value(i));
    else if (a == "--open")
      s.open = true;
    else if (a == "--jobs")
      s.jobs = static_cast<unsigned>(std::stoul(value(i)));
    else if (a == "--let-die")
      setenv("TRUTH_LET_DIE", "1", 1);
    else if (a == "--go-on")
      s.go_on = true;
    else if (a == "--no-shrink")
      s.shrink = false;
    else if (a == "--shrink-seconds")
      s.shrink_seconds = std::stod(value(i));
    else if (a == "--show")
      s.show = true;
    else if (a == "--list")
      s.list = true;
    else
      throw std::runtime_error("no " + a + "; --help prints all");
  }
  auto joined = [&](const char* option, const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& n : names) text += (text.empty() ? std::string(option) : ",") + n;
    return text;
  };
  s.selection = joined(" --only ", s.only) + joined(" --without ", s.without) + (s.open ? " --open" : "");
  return s;
}

choice chosen(const settings& s) {
  choice c;
  auto any = [](const std::vector<std::string>& prefixes, const std::string& name) {
    return std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& p) { return name.rfind(p, 0) == 0; });
  };
  const auto& all = all_places();
  bool of_places = std::any_of(all.begin(), all.end(), [&](const place_kind& k) { return any(s.only, k.name); });
  for (const place_kind& k : all) {
    if (k.here != nullptr && !k.here()) continue;
    if ((of_places && !any(s.only, k.name)) || any(s.without, k.name)) continue;
    (k.open && !s.open ? c.hidden : c.places).push_back(k.name);
  }
  for (auto* names : {&c.kinds, &c.wheres, &c.ats, &c.asks, &c.noises}) {
    bool some = std::any_of(names->begin(), names->end(), [&](const std::string& n) { return any(s.only, n); });
    std::erase_if(*names, [&](const std::string& n) { return any(s.without, n) || (some && !any(s.only, n)); });
    if (names->empty() && names != &c.noises) throw std::runtime_error("--without leaves nothing to choose from");
  }
  c.packed_links = !any(s.without, "packed.links");
  bool all_held = std::none_of(c.kinds.begin(), c.kinds.end(), leads_to_block);
  if (c.places.empty() && (c.hidden.empty() || !all_held)) throw std::runtime_error("no place is left");
  return c;
}

struct tally {
  std::mutex lock;
  unsigned scenes = 0;
  std::map<std::string, unsigned long> figures;
  std::map<std::string, unsigned> failures;
  double began = now_seconds();

  void add(const std::string& output) {
    std::size_t at = output.find("ok lives=");
    if (at == std::string::npos) return;
    std::istringstream in(output.substr(at + 3, output.find('\n', at) - at - 3));
    for (std::string pair; in >> pair;) {
      std::size_t eq = pair.find('=');
      figures[pair.substr(0, eq)] += std::stoul(pair.substr(eq + 1));
    }
  }
  void print() {
    std::printf("%u scenes in %.1f s", scenes, now_seconds() - began);
    for (auto& [name, n] : figures) std::printf(", %s %lu", name.c_str(), n);
    std::printf("\n");
    for (auto& [kind, n] : failures) std::printf("%4u x %s\n", n, kind.c_str());
  }
};

void say_failure(const settings& set, const scene& s, const result& r, double after, const std::string& replay) {
  std::printf("\n=== FAILED after %.1f s: %s\n%s", after, r.failure.c_str(), r.output.c_str());
  std::printf("--- the scene (%s)\n%s\n", replay.c_str(), print(s).c_str());
  std::fflush(stdout);
  if (!set.shrink) return;
  scene small = shrink(s, r.failure, set.shrink_seconds);
  result again = run_often(small, 20, r.failure);
  if (again.failure.empty()) {
    std::printf("--- did not fail again in 20 runs of what is left of it\n");
  } else {
    std::printf("--- what is left of it says\n%s", again.output.c_str());
  }
  std::printf("--- to replay: truth --scene '%s'\n", print(small, "; ").c_str());
  std::fflush(stdout);
}

int one_scene(const settings& set, const scene& s, const std::string& replay) {
  double began = now_seconds();
  for (unsigned i = 1; i <= set.tries; i++) {
    result r = run(s);
    if (set.show) std::printf("run %u, %.1f s: %s%s", i, r.seconds, r.failure.c_str(), r.output.c_str());
    if (r.failure.empty()) continue;
    std::printf("run %u failed\n", i);
    say_failure(set, s, r, now_seconds() - began, replay);
    return 1;
  }
  std::printf("%u runs, no failure\n%s\n", set.tries, print(s).c_str());
  return 0;
}

int many_scenes(const settings& set) {
  choice from = chosen(set);
  std::vector<scene> fixed;
  if (set.cover) fixed = cover(from);
  unsigned long long base = set.from != 0 ? set.from : std::random_device()() & 0x7fff'ffffu;
  if (!set.cover) std::printf("seeds from %llu\n", base);
  std::fflush(stdout);
  tally t;
  std::atomic<unsigned long long> next{0};
  std::atomic<bool> stop{false};
  auto work = [&] {
    while (!stop) {
      unsigned long long n = next++;
      if (set.cover ? n >= fixed.size() : set.rounds != 0 ? n >= set.rounds : now_seconds() - t.began > set.seconds) return;
      scene s = set.cover ? fixed[n] : make_scene(base + n, from);
      result r = run(s);
      std::lock_guard hold(t.lock);
      t.scenes++;
      t.add(r.output);
      if (set.show) std::printf("%s\n%.2f s: %s%s\n", print(s).c_str(), r.seconds, r.failure.c_str(), r.output.c_str());
      if (r.failure.empty()) continue;
      t.failures[r.failure]++;
      if (stop) return;
      stop = !set.go_on;
      std::string replay =
          set.cover ? "scene " + std::to_string(n) + " of --cover" : "truth --seed " + std::to_string(base + n) + set.selection;
      say_failure(set, s, r, now_seconds() - t.began, replay);
    }
  };
  std::vector<std::thread> jobs;
  for (unsigned i = 1; i < set.jobs; i++) jobs.emplace_back(work);
  work();
  for (std::thread& j : jobs) j.join();
  t.print();
  return t.failures.empty() ? 0 : 1;
}

}  // namespace
}  // namespace truth

int main(int argc, char** argv) {
  using namespace truth;
  try {
    if (argc == 3 && std::strcmp(argv[1], "--play") == 0) play(parse(argv[2]));
    if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
      std::fputs(usage, stdout);
      return 0;
    }
    settings set = read_arguments(argc, argv);
    if (set.list) {
      for (const std::string& name : chosen(set).places) std::puts(name.c_str());
      return 0;
    }
    if (!set.scene_text.empty()) return one_scene(set, parse(set.scene_text), "given");
    if (set.seed != 0) return one_scene(set, make_scene(set.seed, chosen(set)), "seed " + std::to_string(set.seed));
    return many_scenes(set);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "truth: %s\n", e.what());
    return 2;
  }
}
