// Go counts leaks as of the last request without saying so; ours says when they were counted.
#include "serve/index_page.h"

#include <array>
#include <ctime>

#include "base/format.h"

namespace stray::serve {

namespace {

struct entry {
  std::string_view name, description;
  bool counted;
};
// Sorted by name, as Go's.
constexpr std::array<entry, 4> entries = {{
    {"cmdline", "The command line invocation of the current program", false},
    {"goroutine",
     "Stack traces of all current goroutines. Use debug=2 as a query parameter to export in the same format as an unrecovered "
     "panic.",
     true},
    {"goroutineleak",
     "Stack traces of all leaked goroutines. Use debug=2 as a query parameter to export in the same format as an unrecovered "
     "panic, with "
     "leaked=1 to leave the others out, and debug=3 for an explanation.",
     true},
    {"symbol",
     "Maps given program counters to function names. Counters can be specified in a GET raw query, multiple counters are "
     "separated by "
     "&#39;+&#39;.",
     false},
}};

std::string when(const collector::tally& tally) {
  if (tally.live) return {};
  if (tally.taken_at == 0) return " (not yet taken: open it to run a detection)";
  return base::format(" (taken {}{})", utc_text(tally.taken_at),
                      tally.complete ? "" : "; incomplete: there may be more, its page says why");
}

}  // namespace

std::string utc_text(std::time_t seconds) {
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

std::string index_page(collector& source) {
  std::string page = R"(<html>
<head>
<title>/debug/pprof/</title>
<style>
.profile-name{
	display:inline-block;
	width:6rem;
}
</style>
</head>
<body>
/debug/pprof/
<br>
<p>Set debug=1 as a query parameter to export in legacy text format</p>
<br>
Types of profiles available:
<table>
<thead><td>Count</td><td>Profile</td></thead>
)";
  for (const entry& e : entries) {
    collector::tally tally;
    tally.live = true;
    if (e.counted) tally = source.count(e.name);
    page +=
        base::format("<tr><td>{}</td><td><a href='{}?debug=1'>{}</a>{}</td></tr>\n", tally.count, e.name, e.name, when(tally));
  }
  page += R"(</table>
<a href="goroutine?debug=2">full goroutine stack dump</a>
<br>
<p>
Profile Descriptions:
<ul>
)";
  for (const entry& e : entries)
    page += base::format("<li><div class=profile-name>{}: </div> {}</li>\n", e.name, e.description);
  page += "</ul>\n</p>\n</body>\n</html>";
  return page;
}

}  // namespace stray::serve
