// Where goroutines and threads wait, counted by site, look by look: what of the ones that are reachable stays blocked, and where they become
// more. It proves nothing: who waits for work in an idle pool is counted like who waits for ever.
//
// 1. A site is a stack and a reason. Growth counts from the first look at it.
// 2. The stack of a wait is read once, and not before it has lasted for a second: at later looks its number tells that it is the same wait
//    (task.h 6). So what a look costs goes with how many became old since the last one, not with how many wait.
// 3. A wait that was counted and is over at the next look had been as old as that one saw it, at least: longest_ended_ns. Who has waited for no
//    longer than `age_factor` times that (suspects.h) waits as others do that wake.
// 4. Who is reported as leaked, the main thread, and who waits for a time are not counted.
// 5. Numbers of waits and times are kept as complements: none of them looks like an address. 32 bytes for each record of a task.
// 6. The detector's thread only.
// 7. Goroutines and the threads that use their primitives: their records are numbered, and counted by goroutines/look_at_waits.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

namespace stray::leak {

class kept_ns {
 public:
  kept_ns(std::int64_t ns = 0) noexcept : not_ns_(~ns) {}
  operator std::int64_t() const noexcept { return ~not_ns_; }

 private:
  std::int64_t not_ns_;
};

struct wait_site {
  // Since the first look at it.
  std::size_t first_count = 0;
  kept_ns first_look_ns = 0;
  kept_ns longest_ended_ns = 0;  // 0: nobody was seen to wake
  // At the last look.
  std::size_t count = 0, over_a_minute = 0;
  kept_ns oldest_since_ns = 0;

  // By how many those that have waited for over a minute are more than all that waited at the first look.
  std::size_t growth() const noexcept { return over_a_minute > first_count ? over_a_minute - first_count : 0; }
};

class wait_census {
 public:
  using site_key = std::pair<std::string_view, std::vector<std::uintptr_t>>;

  // A look: begin, of each record that waits either still_waits or add or pass, end.
  void begin(std::int64_t now_ns);
  // false: a new wait, which add or pass wants to know.
  bool still_waits(std::size_t record, std::uint64_t seq);
  void add(std::size_t record, std::uint64_t seq, std::int64_t since_ns, site_key site);
  // The wait is not counted (4), nor is it over.
  void pass(std::size_t record, std::uint64_t seq);
  void end();

  // nullptr: nobody was ever seen to wait there.
  const wait_site* find(const site_key& site) const;
  const std::map<site_key, wait_site>& sites() const noexcept { return sites_; }
  std::int64_t last_look_ns() const noexcept { return now_ns_; }

 private:
  struct entry {
    std::uint64_t not_seq = 0;
    kept_ns since_ns;
    wait_site* site = nullptr;  // nullptr: not counted
    std::uint64_t look = 0;     // when it was seen last
  };
  entry& at(std::size_t record);
  void count(const entry& e);
  void finish(entry& e);

  std::map<site_key, wait_site> sites_;
  std::vector<entry> entries_;  // by record
  kept_ns now_ns_, before_ns_;
  std::uint64_t look_ = 0;
};

// A look at all that have waited for so long now. Stops nobody. What it returns stands until the next look.
inline constexpr std::int64_t usual_wait_ns = 1'000'000'000;
const wait_census& look_at_waits(std::int64_t least_ns = usual_wait_ns);
void forget_waits();  // in the child of a fork

}  // namespace stray::leak
