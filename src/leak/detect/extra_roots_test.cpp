#include "leak/detect/extra_roots.h"

#include <gtest/gtest.h>
#include <utility>

#include <stray/leak.hpp>

namespace stray::leak {
namespace {

bool is_root(const void* p) {
  const extra_root_list now = copy_extra_roots();
  for (unsigned i = 0; i < now.count; i++)
    if (now.ranges[i].lo == reinterpret_cast<std::uintptr_t>(p)) return true;
  return false;
}

TEST(extra_roots, end_with_their_object) {
  int word = 0;
  {
    root one = add_root(&word, sizeof word);
    EXPECT_TRUE(is_root(&word));
    root moved = std::move(one);
    EXPECT_TRUE(is_root(&word));
  }
  EXPECT_FALSE(is_root(&word));
}

TEST(extra_roots, an_assignment_ends_the_one_before) {
  int first = 0, second = 0;
  root one = add_root(&first, sizeof first), other = add_root(&second, sizeof second);
  one = std::move(other);
  EXPECT_FALSE(is_root(&first)) << "while the object that was moved from lives on";
  EXPECT_TRUE(is_root(&second));
  root& same = one;
  one = std::move(same);
  EXPECT_TRUE(is_root(&second)) << "an assignment to itself ends nothing";
  one = {};
  EXPECT_FALSE(is_root(&second));
}

}  // namespace
}  // namespace stray::leak
