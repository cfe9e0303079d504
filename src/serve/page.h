// /debug/stray/: one HTML page for eyes. No scripts, nothing from outside; everything that comes from the program is escaped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "leak/model/findings.h"
#include "leak/report/history.h"
#include "leak/report/longest.h"
#include "profile/sample.h"
#include "serve/source_file.h"

namespace stray::serve {

struct page_content {
  std::string program;
  int pid = 0;
  leak::report report;                          // of tier likely and better
  std::shared_ptr<const leak::findings> found;  // the same detection's: who waits for whom
  leak::history past;
  std::vector<profile::stack_entry> all;  // goroutines that exist
  std::vector<leak::longest_row> longest;
  std::uint64_t asked = 0;  // `why=ID`; 0: nobody
  std::string answer;       // of leak::why
};

struct written_page {
  std::string text;                     // without source lines
  std::vector<excerpt_place> excerpts;  // for with_excerpts, which reads files: not on the detector's thread
};
// Wants more stack than a goroutine has (libdw).
written_page write_page(const page_content& content);

}  // namespace stray::serve
