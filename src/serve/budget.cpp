#include "serve/budget.h"

#include <cstdlib>

#include "base/check.h"
#include "base/environment.h"
#include "serve/query.h"

namespace stray::serve {

budget& budget::from_environment() noexcept {
  static budget one([] {
    constexpr int usual = 5;
    const char* text = base::environment("STRAY_PPROF_BUDGET");
    if (text == nullptr || *text == '\0') return usual;
    auto percent = whole_number(text);
    if (percent && *percent >= 1 && *percent <= 100) return static_cast<int>(*percent);
    base::say("stray: STRAY_PPROF_BUDGET=%s is not a number from 1 to 100 (percent of a processor); using the default (%d)",
              text, usual);
    return usual;
  }());
  return one;
}

}  // namespace stray::serve
