// Rejected: a mutex (a child of a fork may find it taken for ever), strings (their ends show what the blocks held before).
#include "serve/kept_answers.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace stray::serve {

namespace {

// Whether this thread has it now.
struct attempt {
  explicit attempt(std::atomic_flag& f) noexcept : flag(f), got(!f.test_and_set()) {}
  ~attempt() {
    if (got) flag.clear();
  }
  attempt(const attempt&) = delete;
  attempt& operator=(const attempt&) = delete;

  std::atomic_flag& flag;
  const bool got;
};

std::size_t size_of_headers(const response& r) noexcept {
  std::size_t size = 0;
  for (const auto& [name, value] : r.headers) size += name.size() + value.size() + 2;
  return size;
}

char* put(char* at, std::string_view text) noexcept {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

std::string_view next_line(std::string_view& text) noexcept {
  std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

}  // namespace

void kept_answers::drop(one& o) noexcept {
  std::free(o.bytes);
  o = {};
}

// Room is made for it at the end.
bool kept_answers::has_room_for(std::string_view question, std::size_t bytes) noexcept {
  if (bytes > most_bytes) return false;
  auto compact = [this] { std::stable_partition(all_, all_ + most, [](const one& o) { return o.bytes != nullptr; }); };
  for (one& o : all_)
    if (o.bytes != nullptr && o.asked() == question) drop(o);
  compact();
  for (;;) {
    std::size_t sum = 0;
    for (const one& o : all_) sum += o.size();
    if (sum + bytes <= most_bytes && all_[most - 1].bytes == nullptr) return true;
    drop(all_[0]);
    compact();
  }
}

void kept_answers::keep(std::string_view question, const response& what, std::chrono::system_clock::time_point taken) noexcept {
  attempt mine(taken_);
  one anew{nullptr, question.size(), size_of_headers(what), what.body.size(), what.status, taken};
  if (!mine.got || !has_room_for(question, anew.size())) return;
  anew.bytes = static_cast<char*>(std::calloc(1, std::max<std::size_t>(anew.size(), 1)));
  if (anew.bytes == nullptr) return;
  char* at = put(anew.bytes, question);
  for (const auto& [name, value] : what.headers) at = put(put(put(put(at, name), "\n"), value), "\n");
  put(at, what.body);
  *std::find_if(all_, all_ + most, [](const one& o) { return o.bytes == nullptr; }) = anew;
  any_ = true;
}

std::optional<kept_answers::answer> kept_answers::find(std::string_view question) {
  attempt mine(taken_);
  if (!mine.got) return std::nullopt;
  for (const one& o : all_) {
    if (o.bytes == nullptr || o.asked() != question) continue;
    answer found{{o.status, {}, std::string(o.bytes + o.question + o.headers, o.body)}, o.taken};
    std::string_view headers(o.bytes + o.question, o.headers);
    while (!headers.empty()) {
      std::string_view name = next_line(headers), value = next_line(headers);
      found.what.headers.emplace_back(name, value);
    }
    return found;
  }
  return std::nullopt;
}

void kept_answers::forget() noexcept {
  if (!any_) return;
  attempt mine(taken_);
  if (!mine.got) return;
  for (one& o : all_) drop(o);
  any_ = false;
}

}  // namespace stray::serve
