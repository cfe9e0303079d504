// The strictest group on the way up counts, in both versions of control groups.
#include "runtime/cpu_limit.h"

#include <gtest/gtest.h>
#include <string>

#include "base/test_groups.h"

namespace stray::runtime {
namespace {

class cpu_limit_case : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) { groups_.write(path, text); }
  int limit() { return cpu_limit(groups_.list().c_str(), groups_.mount().c_str()); }

 private:
  base::test_groups groups_;
};

TEST_F(cpu_limit_case, none_without_files) { EXPECT_EQ(limit(), 0); }
TEST_F(cpu_limit_case, none_when_unlimited) {
  write("list", "0::/a\n");
  write("cpu.max", "max 100000\n");
  write("a/cpu.max", "max 100000\n");
  EXPECT_EQ(limit(), 0);
}
TEST_F(cpu_limit_case, is_rounded_up) {
  write("list", "0::/\n");
  write("cpu.max", "150000 100000\n");
  EXPECT_EQ(limit(), 2);
  write("cpu.max", "20000 100000\n");
  EXPECT_EQ(limit(), 1);
  write("cpu.max", "400000 100000\n");
  EXPECT_EQ(limit(), 4);
}
TEST_F(cpu_limit_case, the_strictest_group_counts) {
  write("list", "0::/a/b/c\n");
  write("a/b/c/cpu.max", "800000 100000\n");
  write("a/b/cpu.max", "max 100000\n");
  write("a/cpu.max", "300000 100000\n");
  EXPECT_EQ(limit(), 3);
}
TEST_F(cpu_limit_case, a_path_of_another_namespace_leaves_the_mount) {
  write("list", "0::/docker/abc\n");
  write("cpu.max", "200000 100000\n");
  EXPECT_EQ(limit(), 2);
}
TEST_F(cpu_limit_case, version_one) {
  write("list", "7:memory:/x\n3:cpu,cpuacct:/x\n");
  write("cpu/x/cpu.cfs_quota_us", "250000\n");
  write("cpu/x/cpu.cfs_period_us", "100000\n");
  write("cpu/cpu.cfs_quota_us", "-1\n");
  write("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(limit(), 3);
}
TEST_F(cpu_limit_case, nonsense_is_no_limit) {
  write("list", "0::/\nnonsense\n::\n");
  write("cpu.max", "abc");
  EXPECT_EQ(limit(), 0);
  write("cpu.max", "100");
  EXPECT_EQ(limit(), 0);
  write("cpu.max", "");
  EXPECT_EQ(limit(), 0);
}

}  // namespace
}  // namespace stray::runtime
