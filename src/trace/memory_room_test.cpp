// What the control groups leave is the least on the way up, with the page cache that can be dropped.
#include "trace/memory_room.h"

#include <gtest/gtest.h>
#include <string>

#include "base/test_groups.h"

namespace stray::trace {
namespace {

class memory_room : public testing::Test {
 protected:
  void limit(const std::string& group, std::uint64_t most, std::uint64_t used, std::uint64_t cache = 0) {
    groups_.write(group + "/memory.max", std::to_string(most) + "\n");
    groups_.write(group + "/memory.current", std::to_string(used) + "\n");
    groups_.write(group + "/memory.stat", "anon 5\ninactive_anon 7\ninactive_file " + std::to_string(cache) + "\nslab 9\n");
  }
  std::uint64_t room(std::uint64_t enough = 1000) {
    return room_in_groups(groups_.list().c_str(), groups_.mount().c_str(), enough);
  }
  base::test_groups groups_;
};

TEST_F(memory_room, is_unlimited_without_groups_or_limits) {
  EXPECT_EQ(room(), ~std::uint64_t{0});
  groups_.write("list", "0::/a\n");
  EXPECT_EQ(room(), ~std::uint64_t{0});
  groups_.write("a/memory.max", "max\n");
  groups_.write("a/memory.current", "5\n");
  EXPECT_EQ(room(), ~std::uint64_t{0});
}
TEST_F(memory_room, is_that_of_the_tightest_group_on_the_way_up) {
  groups_.write("list", "0::/a/b\n");
  limit("a/b", 10'000, 100);
  limit("a", 5000, 4900);
  EXPECT_EQ(room(), 100u);
  limit("a", 5000, 5100);
  EXPECT_EQ(room(), 0u);
}
TEST_F(memory_room, counts_cache_where_it_is_short) {
  groups_.write("list", "0::/a\n");
  limit("a", 5000, 4900, 300);
  EXPECT_EQ(room(), 400u);
  EXPECT_EQ(room(100), 100u);  // enough: not looked at more closely
}
TEST_F(memory_room, of_version_one) {
  groups_.write("list", "4:memory:/x\n1:cpu:/y\n");
  groups_.write("memory/x/memory.limit_in_bytes", "5000\n");
  groups_.write("memory/x/memory.usage_in_bytes", "4900\n");
  groups_.write("memory/x/memory.stat", "cache 90\ninactive_file 1\ntotal_inactive_file 30\n");
  EXPECT_EQ(room(), 130u);
}
TEST_F(memory_room, is_unlimited_where_version_one_says_so) {
  groups_.write("list", "4:memory:/\n");
  groups_.write("memory/memory.limit_in_bytes", "9223372036854771712\n");
  groups_.write("memory/memory.usage_in_bytes", "4900\n");
  EXPECT_EQ(room(), unlimited_room);
}
TEST(process_memory, is_what_the_kernel_says) {
  process_memory m = memory_of_process();
  EXPECT_GT(m.resident, mib);
  EXPECT_GT(m.page_tables, 0u);
  EXPECT_GE(room_before_clone(m), room_while_child_lives(m));
}

}  // namespace
}  // namespace stray::trace
