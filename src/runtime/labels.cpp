#include "runtime/labels.h"

#include <algorithm>
#include <memory>

#include "runtime/current.h"
#include "runtime/scheduler.h"

namespace stray::runtime {

void drop_labels(label_list* l) noexcept {
  // order: the last holder sees all of the others' reads done
  if (l != nullptr && l->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) delete l;
}

label_list* push_labels(std::span<const std::pair<std::string_view, std::string_view>> more) {
  ensure_started();
  task* self = current_task();
  auto list = std::make_unique<label_list>();
  if (self->labels != nullptr) list->pairs = self->labels->pairs;
  for (auto [key, value] : more) {
    auto at = std::lower_bound(list->pairs.begin(), list->pairs.end(), key,
                               [](const auto& p, std::string_view k) { return p.first < k; });
    if (at != list->pairs.end() && at->first == key) {
      at->second = value;
    } else {
      list->pairs.emplace(at, key, value);
    }
  }
  return std::exchange(self->labels, list.release());
}

void restore_labels(label_list* before) noexcept { drop_labels(std::exchange(current_task()->labels, before)); }

}  // namespace stray::runtime
