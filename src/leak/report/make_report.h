// From findings to reports, and the texts that reports share with pages and profiles.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <stray/leak.hpp>
#include "base/printable.h"
#include "leak/model/findings.h"
#include "profile/sample.h"

namespace stray::leak {

std::string age_text(std::chrono::nanoseconds age);  // "12 ms", "3.4 s", "56 s", "78 min"
std::string size_text(std::size_t bytes);
// "key=value key=value", of words (base::as_word): a value cannot look like another pair, or like a line of the report.
template <class Labels>
std::string text_of_labels(const Labels& labels) {
  std::string text;
  for (const auto& [key, value] : labels)
    text.append(text.empty() ? "" : " ").append(base::as_word(key)).append("=").append(base::as_word(value));
  return text;
}
// Such texts and how many of the group have these labels, the commonest first.
std::vector<std::pair<std::string, std::size_t>> label_sets(const group& g);
bool is_wanted(const finding& f, const options& o) noexcept;  // by tier and age
// Likely ones that `o` does not want for their tier alone, by doubt, the commonest first.
std::vector<doubt> doubts(const findings& f, const options& o);
// Of the profiles: "3, not proven: DOUBT".
std::vector<std::string> likely_lines(const findings& f);
// The samples of the goroutineleak profile: what is proven.
std::vector<profile::sample> leak_samples(const findings& f);
// all: where owners and root leaks are looked up, when f is a part of it.
report make_report(const findings& f, const options& o, const findings* all = nullptr);

}  // namespace stray::leak
