// Why a leaked one never wakes, in words: what it waits on, whom, and where that one is blocked.
//
// 1. Addresses of the program's memory are never kept as they are: a report that lies about must keep nothing alive.
// 2. A leak is a root, or the victim of another one: then the text names whom it waits for, and the root behind that.
// Runs where libdw has room (on_detector); allocates.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "leak/model/findings.h"

namespace stray::leak {

// Of a likely one: what keeps it from being proven. It names no address, so that many have the same.
std::string doubt_text(const finding& f);
// In two or three words; nullptr: it is none.
const char* doubt_name(grounds reason) noexcept;

class causes {
 public:
  explicit causes(const findings& f);  // f must outlive it
  std::string of(const finding& f) const;
  // How many others are leaked only because of this one.
  std::size_t victims(const finding& f) const;

 private:
  std::string name(std::uint64_t task_id) const;
  std::string blocked(std::uint64_t task_id) const;
  std::string owners(const finding& f) const;
  std::string helpers(const finding& f) const;
  bool have_one_root(const finding& f) const;
  std::string primitive(const finding& f) const;
  std::string ring(const finding& f) const;
  std::string why_text(const finding& f) const;

  const finding* find(std::uint64_t task_id) const;  // nullptr: none

  const findings& all_;
  std::vector<const finding*> by_task_;  // by task_id
  std::map<std::uint64_t, std::size_t> victims_;
};

}  // namespace stray::leak
