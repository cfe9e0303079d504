// any_table_target.cpp, fed with mutations of the stored call frame information of a small library, and of the switch of stacks.
#include <gtest/gtest.h>

#include "tests/stress/mutations.hpp"

TEST(any_table, is_read_inside_its_bounds) { EXPECT_GT(feed_mutations("tables", "\xff\x80"), 100u); }
