// What the commands print: for people, as JSON, as SARIF.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/sites.h"

namespace stray::cli {

struct style {
  bool colour = false;
  bool growth = false;  // a column for it
  std::size_t targets = 1;
  std::int64_t now = 0;  // seconds of the Unix clock, for ages
};

// Columns under each other: the last `words` of them to the left, those before to the right; the first row is the head.
std::string aligned(std::vector<std::vector<std::string>> rows, std::size_t words, const style& s);
std::string table(const std::vector<site>& sites, std::size_t most, const style& s);
std::string details(const site& one, const style& s);
std::string json(const std::vector<site>& sites, const std::vector<profile>& profiles, const style& s);
std::string sarif(const std::vector<site>& sites, const std::string& version);
std::string one_line(const site& one, const style& s);  // of watch

std::string age_text(std::int64_t since, std::int64_t now);  // "3 h"; "-": not known
std::string size_text(std::int64_t bytes);

}  // namespace stray::cli
