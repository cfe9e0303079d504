#include "runtime/labels.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <new>

#include "runtime/current.h"
#include "runtime/scheduler.h"

namespace stray::runtime {

void drop_labels(label_list* l) noexcept {
  // order: the last holder sees all of the others' reads done
  if (l != nullptr && l->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) std::free(l);
}

label_list* push_labels(std::span<const std::pair<std::string_view, std::string_view>> more) {
  ensure_started();
  task* self = current_task();
  std::map<std::string_view, std::string_view> all;
  if (self->labels != nullptr) self->labels->each([&](std::string_view key, std::string_view value) { all[key] = value; });
  for (auto [key, value] : more) all[key] = value;
  std::size_t bytes = sizeof(label_list) + all.size() * sizeof(label_list::sizes);
  for (auto [key, value] : all) bytes += key.size() + value.size();
  constexpr std::size_t word = 16;
  void* room = std::calloc((bytes + word - 1) / word, word);
  if (room == nullptr) throw std::bad_alloc();
  auto* list = new (room) label_list;
  list->holders.store(1);
  list->count = static_cast<std::uint32_t>(all.size());
  auto* sizes = list->of;
  char* text = reinterpret_cast<char*>(list->of + all.size());
  for (auto [key, value] : all) {
    *sizes++ = {static_cast<std::uint32_t>(key.size()), static_cast<std::uint32_t>(value.size())};
    for (std::string_view part : {key, value}) text = std::copy(part.begin(), part.end(), text);
  }
  return std::exchange(self->labels, list);
}

void restore_labels(label_list* before) noexcept { drop_labels(std::exchange(current_task()->labels, before)); }

}  // namespace stray::runtime
