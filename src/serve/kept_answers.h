// The last answers to questions that cost much, for who asks the same while the budget (budget.h) is used up.
//
// 1. At most `most` answers and `most_bytes` in all; the oldest go first, and what is larger than that is not kept. They are kept only while
//    the budget is used up: a process that nobody plagues keeps none.
// 2. Nobody waits: who meets another one here finds nothing, and keeps nothing. So it is in the child of a fork that came in such a moment.
// 3. Their memory is zeroed before it is used, as all that globals lead to (http.h 6).
// Any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "serve/routes.h"

namespace stray::serve {

class kept_answers {
 public:
  static constexpr unsigned most = 4;
  static constexpr std::size_t most_bytes = std::size_t{8} << 20;

  using answer = collector::kept_answer;

  constexpr kept_answers() noexcept = default;  // and nothing at its end: threads serve until the process has ended
  kept_answers(const kept_answers&) = delete;
  kept_answers& operator=(const kept_answers&) = delete;

  // In the place of an older one to the same question.
  void keep(std::string_view question, const response& what, std::chrono::system_clock::time_point taken) noexcept;
  std::optional<answer> find(std::string_view question);
  void forget() noexcept;

 private:
  // One block: the question, the headers, each with a line feed behind its name and its value, and the body.
  struct one {
    char* bytes = nullptr;  // nullptr: none
    std::size_t question = 0, headers = 0, body = 0;
    int status = 0;
    std::chrono::system_clock::time_point taken{};

    std::size_t size() const noexcept { return question + headers + body; }
    std::string_view asked() const noexcept { return {bytes, question}; }
  };

  bool has_room_for(std::string_view question, std::size_t bytes) noexcept;
  static void drop(one& o) noexcept;

  std::atomic_flag taken_ = ATOMIC_FLAG_INIT;
  std::atomic<bool> any_{false};
  one all_[most];  // those there are first, the oldest first
};

}  // namespace stray::serve
