#include "serve/longest.h"

#include "base/format.h"
#include "base/printable.h"

namespace stray::serve {

std::string write_longest(const std::vector<leak::longest_row>& rows) {
  std::string text = "count\tover_a_minute\tgrowth\toldest_s\treason\tfunction\tfile\tline\n";
  for (const leak::longest_row& r : rows)
    base::format_to(text, "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", r.count, r.over_a_minute, r.growth,
                    std::chrono::duration_cast<std::chrono::seconds>(r.oldest).count(), base::printable(r.reason),
                    base::printable(r.function), base::printable(r.file), r.line);
  return text;
}

}  // namespace stray::serve
