// any_map_target.cpp, fed with mutations of stored lists of mappings.
#include <gtest/gtest.h>

#include "tests/stress/mutations.hpp"

TEST(any_map, is_refused_or_sorted) { EXPECT_GT(feed_mutations("maps", " -\n0f/[r"), 100u); }
