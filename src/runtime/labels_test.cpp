#include "runtime/labels.h"

#include <gtest/gtest.h>

#include "runtime/current.h"

using namespace stray::runtime;

namespace {

using pairs = std::vector<std::pair<std::string, std::string>>;

pairs of(const label_list* l) {
  pairs out;
  if (l != nullptr) l->each([&](std::string_view key, std::string_view value) { out.emplace_back(key, value); });
  return out;
}
pairs now() { return of(current_task()->labels); }

label_list* push(std::initializer_list<std::pair<std::string_view, std::string_view>> more) {
  return push_labels({more.begin(), more.size()});
}

TEST(labels, are_sorted_replaced_and_restored) {
  label_list* outer = push({{"route", "/buy"}, {"a", "1"}});
  EXPECT_EQ(outer, nullptr);
  EXPECT_EQ(now(), (pairs{{"a", "1"}, {"route", "/buy"}}));
  label_list* before = push({{"route", "/sell"}, {"z", ""}});
  EXPECT_EQ(now(), (pairs{{"a", "1"}, {"route", "/sell"}, {"z", ""}}));
  EXPECT_EQ(of(before), (pairs{{"a", "1"}, {"route", "/buy"}})) << "the outer list is untouched: others share it";
  restore_labels(before);
  EXPECT_EQ(now(), (pairs{{"a", "1"}, {"route", "/buy"}}));
  restore_labels(outer);
  EXPECT_EQ(now(), pairs());
}

TEST(labels, a_goroutine_keeps_those_of_its_start) {
  label_list* before = push({{"k", "v"}});
  label_list* list = current_task()->labels;
  std::atomic<bool> go_on{false};
  pairs seen;
  stray::go([&] {
    while (!go_on) stray::yield();
    seen = now();
  });
  EXPECT_EQ(list->holders.load(), 2u);
  share_labels(list);
  restore_labels(before);
  go_on = true;
  while (stray::num_goroutine() != 0) stray::yield();
  EXPECT_EQ(seen, (pairs{{"k", "v"}}));
  EXPECT_EQ(list->holders.load(), 1u) << "it has ended, and only we are left";
  drop_labels(list);
}

TEST(labels, a_name_is_no_label_of_those_that_are_started) {
  label_list* before = push({{"k", "v"}});
  pairs named, in_scope, again, child;
  stray::go({.name = "acceptor"}, [&] {
    named = now();
    stray::go([&] { child = now(); });
    label_list* own = push({{"route", "/buy"}});
    in_scope = now();
    EXPECT_EQ(of(current_task()->labels->handed_down), (pairs{{"k", "v"}, {"route", "/buy"}}));
    restore_labels(own);
    again = now();
  });
  while (stray::num_goroutine() != 0) stray::yield();
  restore_labels(before);
  EXPECT_EQ(named, (pairs{{"k", "v"}, {"name", "acceptor"}}));
  EXPECT_EQ(in_scope, (pairs{{"k", "v"}, {"name", "acceptor"}, {"route", "/buy"}}));
  EXPECT_EQ(again, named);
  EXPECT_EQ(child, (pairs{{"k", "v"}}));
}

TEST(labels, a_name_alone_is_handed_to_nobody) {
  pairs named, child{{"not", "set"}};
  stray::go({.name = "acceptor"}, [&] {
    named = now();
    stray::go([&] { child = now(); });
  });
  while (stray::num_goroutine() != 0) stray::yield();
  EXPECT_EQ(named, (pairs{{"name", "acceptor"}}));
  EXPECT_EQ(child, pairs());
}

}  // namespace
