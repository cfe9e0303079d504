#include "leak/model/wait_census.h"

#include <algorithm>

namespace stray::leak {

namespace {
constexpr std::int64_t minute_ns = 60'000'000'000;
constexpr std::size_t most_sites = 10'000;  // with more, those where nobody waits are forgotten
}  // namespace

void wait_census::begin(std::int64_t now_ns) {
  before_ns_ = now_ns_;
  now_ns_ = now_ns;
  look_++;
  for (auto& [key, s] : sites_) {
    s.count = s.over_a_minute = 0;
    s.oldest_since_ns = 0;
  }
}

wait_census::entry& wait_census::at(std::size_t record) {
  if (record >= entries_.size()) entries_.resize(record + 1);
  return entries_[record];
}

void wait_census::count(const entry& e) {
  if (e.site == nullptr) return;
  wait_site& s = *e.site;
  const std::int64_t since = e.since_ns, age = now_ns_ - since;
  if (s.count == 0 || since < s.oldest_since_ns) s.oldest_since_ns = since;
  s.count++;
  s.over_a_minute += age >= minute_ns ? 1 : 0;
}

// The wait of an earlier look is over.
void wait_census::finish(entry& e) {
  if (e.site != nullptr) e.site->longest_ended_ns = std::max<std::int64_t>(e.site->longest_ended_ns, before_ns_ - e.since_ns);
  e.site = nullptr;
}

bool wait_census::still_waits(std::size_t record, std::uint64_t seq) {
  entry& e = at(record);
  if (e.look == 0 || e.not_seq != ~seq) return false;
  e.look = look_;
  count(e);
  return true;
}

void wait_census::add(std::size_t record, std::uint64_t seq, std::int64_t since_ns, site_key site) {
  entry& e = at(record);
  finish(e);
  auto [place, fresh] = sites_.try_emplace(std::move(site));
  if (fresh) place->second.first_look_ns = now_ns_;
  e = {~seq, since_ns, &place->second, look_};
  count(e);
}

void wait_census::pass(std::size_t record, std::uint64_t seq) {
  entry& e = at(record);
  if (e.not_seq != ~seq) finish(e);
  e = {~seq, 0, nullptr, look_};
}

void wait_census::end() {
  for (entry& e : entries_) {
    if (e.look == look_) continue;
    finish(e);
    e.look = 0;
  }
  for (auto& [key, s] : sites_)
    if (s.first_look_ns == now_ns_) s.first_count = s.count;
  if (sites_.size() > most_sites) std::erase_if(sites_, [](const auto& x) { return x.second.count == 0; });
}

const wait_site* wait_census::find(const site_key& site) const {
  auto at = sites_.find(site);
  return at == sites_.end() ? nullptr : &at->second;
}

}  // namespace stray::leak
