#include "play.hpp"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <deque>
#include <map>
#include <random>
#include <sys/prctl.h>
#include <tuple>
#include <unistd.h>

#include "fiber.hpp"
#include "lives.hpp"
#include "noise.hpp"
#include "places.hpp"

namespace truth {

namespace {

using namespace std::chrono_literals;

enum class act : int { motion, rest, finish };
std::atomic<act> now{act::motion};
std::atomic<bool> over{false};
std::atomic<int> moving{0}, resting{0}, asking{0};
stray::chan<void> curtain;  // closed when rest is over; goroutines wait there

class dice {
 public:
  explicit dice(std::uint64_t seed) : random_(seed) {}
  unsigned below(unsigned n) { return static_cast<unsigned>(random_() >> 33) % n; }

 private:
  std::mt19937_64 random_;
};

void pause_for(bool goroutine, unsigned us) {
  if (us == 0) return stray::yield();
  if (goroutine) {
    stray::sleep_for(std::chrono::microseconds(us));
  } else {
    usleep(us);
  }
}

// --- who moves the pointers ----------------------------------------------------------------------------------------------------------
struct route {
  const item* what;
  int number;
  bool goroutine;
  dice d;
  std::vector<std::unique_ptr<place>> places;
  std::vector<const char*> names;
  std::atomic<void*> born{nullptr};
  std::size_t at = 0;
};
std::deque<route> routes;  // never moved: goroutines refer to them

// Each step in a function of its own, whose frame and registers are gone when it has returned.
[[gnu::noinline]] void put_born(route& r) {
  void* p = r.born.exchange(nullptr);
  mask_handle(static_cast<object*>(p), *r.what);
  r.places[r.at]->put(with_links(p, *r.what));
}
[[gnu::noinline]] void move_on(route& r, std::size_t to) { r.places[to]->put(r.places[r.at]->take()); }
[[gnu::noinline]] void wake(route& r) {
  object* o = without_links(r.places[r.at]->take());
  mask_handle(o, *r.what);
  return o->wake(o);
}
[[gnu::noinline]] void drop(route& r) {
  object* o = without_links(r.places[r.at]->take());
  mask_handle(o, *r.what);
  return o->drop(o);
}

void wait_until(bool goroutine, int life_number, bool (*met)(const life&), const char* otherwise) {
  for (int i = 0; !met(lives[life_number]); i++) {
    if (i > 100'000) fail(otherwise, describe(lives[life_number]));
    if (i < 20) {
      stray::yield();
    } else {
      pause_for(goroutine, 100);
    }
  }
}

// False: no more lives.
bool one_life(route& r) {
  int n = new_life(r.number);
  if (n < 0) return false;
  life& l = lives[n];
  l.place = l.place_before = "the birth cell";
  begin_life(*r.what, n, r.born);
  wait_until(
      r.goroutine, n, [](const life& x) { return x.running >= x.members; }, "a waiter did not start");
  while (r.born.load() == nullptr) stray::yield();
  scrub();
  r.at = r.d.below(static_cast<unsigned>(r.places.size()));
  l.place = r.names[r.at];
  put_born(r);
  scrub();
  count.lives++;
  bool leaks = r.d.below(100) < r.what->leak;
  unsigned hops = r.d.below(6);
  for (unsigned hop = 0;; hop++) {
    if (now == act::rest) {
      if (leaks) break;
      resting++;
      if (r.goroutine) {
        stray::recv_chan<void> rx = curtain;
        rx.recv();
      } else {
        now.wait(act::rest);
      }
      break;
    }
    if (now == act::finish || hop >= hops) break;
    pause_for(r.goroutine, r.d.below(3) == 0 ? 0 : r.d.below(2500));
    std::size_t to = r.d.below(static_cast<unsigned>(r.places.size()));
    if (to == r.at) continue;
    l.place_before = r.names[r.at];
    l.place = r.names[to];
    move_on(r, to);
    r.at = to;
    scrub();
  }
  pause_for(r.goroutine, r.d.below(1000));
  if (leaks) {
    l.now = state::dropped;
    drop(r);
    scrub();
    count.dropped++;
    return true;
  }
  l.now = state::woken;
  wake(r);
  scrub();
  wait_until(
      r.goroutine, n, [](const life& x) { return x.running == 0; }, "a woken one did not end");
  l.now = state::ended;
  count.woken++;
  return true;
}

void move(route& r) {
  moving++;
  unsigned leaked = 0;
  while (now == act::motion) {
    unsigned before = count.dropped;
    if (!one_life(r)) break;
    leaked += count.dropped != before;
    if (leaked > 30) break;
  }
  moving--;
}

// --- who asks ------------------------------------------------------------------------------------------------------------------------
void ask_once(const asker& a, const char* who, dice& d) {
  stray::leak::options o;
  if (a.what == "likely") {
    o.min_tier = stray::leak::tier::suspected;
    o.explain = true;
    check(stray::leak::find(o), who);
  } else if (a.what == "why") {
    int n = lives_used.load();
    if (n == 0) return;
    n -= 1 + static_cast<int>(d.below(static_cast<unsigned>(std::min(n, 10))));
    std::uint64_t id = lives[n].ids[0];
    if (id != 0 && (id & thread_bit) == 0) check_why(stray::leak::why(id), n);
  } else if (a.what == "reclaim") {
    stray::leak::report r = stray::leak::find();
    check(r, who);
    stray::leak::reclaim_report done = stray::leak::reclaim(r, {.wait = 20ms});
    count.reclaimed += static_cast<unsigned>(done.count(stray::leak::reclaim_outcome::reclaimed));
  } else {
    check(stray::leak::find(), who);
  }
}
void keep_asking(const asker& a, int number) {
  std::string who = "asker " + std::to_string(number) + " (" + a.what + ", " + a.where + ")";
  dice d(the_scene.seed + 1000 + static_cast<unsigned>(number));
  asking++;
  while (!over) {
    if (now == act::rest) {
      asking--;
      if (a.where == "go") {
        curtain.recv();
      } else {
        now.wait(act::rest);
      }
      asking++;
      continue;
    }
    ask_once(a, who.c_str(), d);
    pause_for(a.where == "go", a.pause / 2 + d.below(a.pause + 1));
  }
  asking--;
}

// A fiber's stack in the heap is a live block with dead words: one of them may hide a leak.
bool stacks_in_heap = false;
bool has_stacks_in_heap(const scene& s) {
  auto in_heap = [](const std::string& name) { return name.starts_with("fiber"); };
  for (const item& i : s.items) {
    if (in_heap(i.where)) return true;
    for (const std::string& place : i.via) {
      if (in_heap(place)) return true;
    }
  }
  for (const std::string& noise : s.noises) {
    if (in_heap(noise)) return true;
  }
  return false;
}

// --- rest ----------------------------------------------------------------------------------------------------------------------------
void check_rest() {
  std::map<int, int> seen;  // life
  stray::leak::report last;
  auto missing = [&] {
    int n = 0, kept = 0, first = -1;
    for (int i = 0; i < lives_used; i++) {
      const life& l = lives[i];
      if (l.now != state::dropped || l.running < l.members || seen.contains(i)) continue;
      if (l.strict && first < 0 && !stacks_in_heap) first = i;
      (l.plain ? n : kept)++;
    }
    return std::tuple(n, kept, first);
  };
  bool complete = false;
  for (int tries = 0; tries < 5; tries++) {
    usleep(2000);
    scrub();
    stray::leak::options with_likely;
    with_likely.min_tier = stray::leak::tier::likely;
    last = stray::leak::find(with_likely);
    check(last, "main, at rest");
    if (!last.complete()) continue;
    complete = true;
    for (const stray::leak::group& g : last.groups()) {
      // Beside a place that cannot be read nothing more can be said.
      if (g.tier < stray::leak::tier::cycle && g.cause.find("where none can be read") == std::string::npos) continue;
      for (const stray::leak::goroutine& one : g.goroutines) {
        for (int i = 0; i < lives_used; i++) {
          if (lives[i].ids[0] == id_of(one)) seen[i]++;
        }
      }
    }
    if (std::get<0>(missing()) == 0) break;
  }
  for (int i = 0; i < lives_used; i++) count.strict_checked += lives[i].now == state::dropped && lives[i].strict;
  auto [n, kept, first] = missing();
  if (!complete) return;
  count.missed += static_cast<unsigned>(n);
  count.kept += static_cast<unsigned>(kept);
  if (first >= 0) {
    fail("a leak was missed", describe(lives[first]) + "\n" + stray::leak::why(lives[first].ids[0] & ~thread_bit));
  }
}

}  // namespace

void play(const scene& s) {
  stacks_in_heap = has_stacks_in_heap(s);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  the_scene = s;
  curtain = stray::make_chan<void>();
  std::vector<stray::leak::subscription> watches;
  for (std::size_t i = 0; i < the_scene.items.size(); i++) {
    const item& what = the_scene.items[i];
    route& r = routes.emplace_back(&what, static_cast<int>(i), what.mover == "go", dice(s.seed * 31 + i));
    for (const std::string& name : what.via) {
      for (const place_kind& k : all_places()) {
        if (k.name != name) continue;
        r.places.push_back(k.make());
        r.names.push_back(k.name.c_str());
      }
    }
    if (r.places.empty()) fail("scene", "no such place");
  }
  begin_noises(the_scene.noises, s.seed);
  for (std::size_t i = 0; i < the_scene.askers.size(); i++) {
    const asker& a = the_scene.askers[i];
    if (a.what == "on_leak") {
      watches.push_back(stray::leak::on_leak([](const stray::leak::report& r) { check(r, "a watch"); }, 1ms, {}, 0.5));
    } else if (a.where == "go") {
      stray::go([&a, i] { keep_asking(a, static_cast<int>(i)); });
    } else {
      std::thread([&a, i] { keep_asking(a, static_cast<int>(i)); }).detach();
    }
  }
  moment = "motion";
  std::vector<std::thread> movers;
  stray::wait_group going;
  for (route& r : routes) {
    if (r.goroutine) {
      going.go([&r] { move(r); });
    } else {
      movers.emplace_back([&r] { move(r); });
    }
  }
  usleep(s.ms * 1000);
  over_noises();
  moment = "coming to rest";
  now = act::rest;
  for (int i = 0; resting < moving || asking != 0; i++) {
    if (i > 50'000)
      fail("no rest",
           "resting " + std::to_string(resting) + " of " + std::to_string(moving) + ", asking " + std::to_string(asking));
    usleep(300);
  }
  moment = "rest";
  check_rest();
  moment = "waking";
  now = act::finish;
  now.notify_all();
  curtain.close();
  for (std::thread& t : movers) t.join();
  going.wait();
  moment = "the end";
  for (int i = 0; i < 2; i++) check(stray::leak::find(), "main, at the end");
  over = true;
  std::printf(
      "ok lives=%u woken=%u dropped=%u reclaimed=%u detections=%u incomplete=%u died=%u strict=%u missed=%u "
      "kept=%u\n",
      count.lives.load(), count.woken.load(), count.dropped.load(), count.reclaimed.load(), count.detections.load(),
      count.incomplete.load(), count.died.load(), count.strict_checked.load(), count.missed.load(), count.kept.load());
  std::fflush(stdout);
  _exit(0);
}

}  // namespace truth
