// any_allow_list_target.cpp, fed with mutations of stored lists of allowed leaks.
#include <gtest/gtest.h>

#include "tests/stress/mutations.hpp"

TEST(any_allow_list, is_refused_or_whole) { EXPECT_GT(feed_mutations("allowed", " #-:*[]\n\t0"), 100u); }
