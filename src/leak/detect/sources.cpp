// The list of task sources.
#include <algorithm>

#include "base/check.h"
#include "leak/goroutines/source.h"
#include "leak/model/task_source.h"

namespace stray::leak {

namespace {

source_list& the_list() noexcept {  // no destructor: it outlives statics
  static source_list list{{&goroutines()}, 1};
  return list;
}

}  // namespace

source_list sources() noexcept { return the_list(); }

void add_source(task_source& source) noexcept {
  source_list& all = the_list();
  if (all.count == most_sources) base::fatal("more than most_sources task sources");
  all.list[all.count++] = &source;
}

void remove_source(task_source& source) noexcept {
  source_list& all = the_list();
  task_source** end = std::remove(all.list, all.list + all.count, &source);
  all.count = static_cast<std::size_t>(end - all.list);
}

}  // namespace stray::leak
