#include "serve/longest.h"

#include "base/format.h"

namespace stray::serve {

namespace {

// A file's name may hold anything.
std::string field(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = '?';
  return text;
}

}  // namespace

std::string write_longest(const std::vector<leak::longest_row>& rows) {
  std::string text = "count\tover_a_minute\tgrowth\toldest_s\treason\tfunction\tfile\tline\n";
  for (const leak::longest_row& r : rows)
    base::format_to(text, "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", r.count, r.over_a_minute, r.growth,
                    std::chrono::duration_cast<std::chrono::seconds>(r.oldest).count(), field(r.reason), field(r.function),
                    field(r.file), r.line);
  return text;
}

}  // namespace stray::serve
