#include "runtime/labels.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>

#include "runtime/current.h"
#include "runtime/scheduler.h"
#include "runtime/started.h"

namespace stray::runtime {

namespace {

using label_map = std::map<std::string_view, std::string_view>;
constexpr std::string_view name_key = "name";

struct freed {
  void operator()(label_list* l) const noexcept { drop_labels(l); }
};
using list_holder = std::unique_ptr<label_list, freed>;

list_holder make_list(const label_map& all) {
  std::size_t bytes = sizeof(label_list) + all.size() * sizeof(label_list::sizes);
  for (auto [key, value] : all) bytes += key.size() + value.size();
  constexpr std::size_t word = 16;
  void* room = std::calloc((bytes + word - 1) / word, word);
  if (room == nullptr) throw std::bad_alloc();
  auto* list = new (room) label_list;
  list->holders.store(1);
  list->count = static_cast<std::uint32_t>(all.size());
  list->handed_down = nullptr;
  list->named = false;
  auto* sizes = list->of;
  char* text = reinterpret_cast<char*>(list->of + all.size());
  for (auto [key, value] : all) {
    *sizes++ = {static_cast<std::uint32_t>(key.size()), static_cast<std::uint32_t>(value.size())};
    for (std::string_view part : {key, value}) text = std::copy(part.begin(), part.end(), text);
  }
  return list_holder(list);
}

label_map labels_of(const label_list* l) {
  label_map all;
  if (l != nullptr) l->each([&](std::string_view key, std::string_view value) { all[key] = value; });
  return all;
}

// A label "name" of the user's stands.
label_list* make_named(label_map all, std::string_view name) {
  list_holder handed_down = all.empty() ? nullptr : make_list(all);
  all.try_emplace(name_key, name);
  list_holder list = make_list(all);
  list->named = true;
  list->handed_down = handed_down.release();
  return list.release();
}

}  // namespace

void drop_labels(label_list* l) noexcept {
  // order: the last holder sees all of the others' reads done
  while (l != nullptr && l->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) std::free(std::exchange(l, l->handed_down));
}

label_list* named_labels(const label_list* creators, std::string_view name) {
  return make_named(labels_of(creators != nullptr && creators->named ? creators->handed_down : creators), name);
}

label_list* push_labels(std::span<const std::pair<std::string_view, std::string_view>> more) {
  ensure_started();
  task* self = current_task();
  const label_list* mine = self->labels;
  const bool named = mine != nullptr && mine->named;
  label_map all = labels_of(named ? mine->handed_down : mine);
  for (auto [key, value] : more) all[key] = value;
  label_list* list = named ? make_named(std::move(all), labels_of(mine)[name_key]) : make_list(all).release();
  return std::exchange(self->labels, list);
}

void restore_labels(label_list* before) noexcept { drop_labels(std::exchange(current_task()->labels, before)); }

}  // namespace stray::runtime
