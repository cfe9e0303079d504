#include "serve/kept_answers.h"

#include <gtest/gtest.h>

using namespace stray::serve;

namespace {

constexpr std::chrono::system_clock::time_point then{std::chrono::seconds(1000)};

struct for_a_test : kept_answers {
  ~for_a_test() { forget(); }
};

response of(std::string body) { return {200, {{"Content-Type", "text/plain"}, {"X-Empty", ""}}, std::move(body)}; }
std::string body_of(kept_answers& kept, std::string_view question) {
  auto found = kept.find(question);
  return found ? found->what.body : "none";
}

}  // namespace

TEST(kept_answers, are_given_back_as_they_were) {
  for_a_test kept;
  EXPECT_FALSE(kept.find("/a"));
  kept.keep("/a", of("text\nof two lines"), then);
  auto found = kept.find("/a");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->what.status, 200);
  EXPECT_EQ(found->what.headers, of("").headers);
  EXPECT_EQ(found->what.body, "text\nof two lines");
  EXPECT_EQ(found->taken, then);
  EXPECT_FALSE(kept.find("/"));
  kept.forget();
  EXPECT_FALSE(kept.find("/a"));
}

TEST(kept_answers, the_last_of_each_question_and_four_in_all) {
  for_a_test kept;
  kept.keep("/a", of("old"), then);
  kept.keep("/b", of("b"), then);
  kept.keep("/a", of("new"), then);
  EXPECT_EQ(body_of(kept, "/a"), "new");
  for (std::string q : {"/c", "/d", "/e"}) kept.keep(q, of(q), then);
  EXPECT_EQ(body_of(kept, "/b"), "none") << "the oldest goes";
  for (std::string q : {"/c", "/d", "/e"}) EXPECT_EQ(body_of(kept, q), q);
  EXPECT_EQ(body_of(kept, "/a"), "new");
}

TEST(kept_answers, have_a_limit_of_bytes) {
  for_a_test kept;
  const std::string large(kept_answers::most_bytes / 2, 'x');
  kept.keep("/a", of("a"), then);
  kept.keep("/b", of(large), then);
  kept.keep("/c", of(large), then);
  EXPECT_EQ(body_of(kept, "/a"), "none");
  EXPECT_EQ(body_of(kept, "/b"), "none");
  EXPECT_EQ(body_of(kept, "/c"), large);
  kept.keep("/d", of(large + large), then);
  EXPECT_EQ(body_of(kept, "/c"), large) << "what has no room drives nobody out";
  EXPECT_EQ(body_of(kept, "/d"), "none");
}
