// Who started the goroutines of one report: what is shown of the addresses that their records keep, and a number for those who are shown the same.
//
// 1. Two findings have the same number if and only if the same is shown of them: a group is never two places to a reader, and two groups
//    never look alike for addresses that nobody sees (copies of a loop, callers that are not the user's).
// 2. Symbols are looked up once a chain of addresses, not once a finding.
// Runs where libdw has room (on_detector); allocates.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "leak/model/findings.h"
#include "profile/symbolize.h"

namespace stray::leak {

class creator_lines {
 public:
  // functions: equal names are enough, for what shows no lines.
  enum class told_apart_by : bool { lines, functions };
  explicit creator_lines(told_apart_by by) noexcept : by_(by) {}

  unsigned number(const finding& f) {
    auto [at, fresh] = of_chain_.try_emplace(f.creators, 0U);
    if (fresh) at->second = number_of(look_up(f.creators));
    return at->second;
  }
  // Innermost first: who called go, and at most two who led there; empty: not known.
  const std::vector<profile::shown_line>& lines(unsigned number) const { return lines_[number]; }

 private:
  using key = std::vector<std::tuple<std::string, std::string, int>>;

  static std::vector<profile::shown_line> look_up(const creator_chain& chain) {
    std::vector<std::uintptr_t> known;
    for (std::uintptr_t pc : chain) {
      if (pc == 0) break;
      known.push_back(pc);
    }
    return profile::shown_creators(known);
  }
  unsigned number_of(std::vector<profile::shown_line> lines) {
    key k;
    for (const profile::shown_line& l : lines) {
      if (by_ == told_apart_by::lines)
        k.emplace_back(l.line->function, l.line->file, l.line->line);
      else
        k.emplace_back(l.line->function, std::string(), 0);
    }
    auto [at, fresh] = of_text_.try_emplace(std::move(k), static_cast<unsigned>(lines_.size()));
    if (fresh) lines_.push_back(std::move(lines));
    return at->second;
  }

  told_apart_by by_;
  std::map<creator_chain, unsigned> of_chain_;
  std::map<key, unsigned> of_text_;
  std::vector<std::vector<profile::shown_line>> lines_;
};

}  // namespace stray::leak
