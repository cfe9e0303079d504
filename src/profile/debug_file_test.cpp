#include "profile/debug_file.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "profile/symbolize.h"

using namespace stray::profile;

namespace {

struct folder {
  std::string path = "/tmp/stray-debug-file-" + std::to_string(getpid());
  folder() { std::filesystem::create_directory(path); }
  ~folder() { std::filesystem::remove_all(path); }
};

std::vector<unsigned char> own_build_id() {
  std::vector<unsigned char> id;
  std::string digits = mappings()[0].build_id;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    id.push_back(static_cast<unsigned char>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  return id;
}

// Empty: taken; "none": not there; else why not.
std::string verdict(const std::string& path, const debug_file_id& wanted) {
  std::string why;
  int fd = open_debug_file(path, wanted, why);
  if (fd < 0) return why.empty() ? "none" : why;
  close(fd);
  return why;
}

}  // namespace

TEST(debug_file, must_have_the_build_id) {
  std::vector<unsigned char> id = own_build_id();
  ASSERT_GT(id.size(), 2u);
  EXPECT_EQ(verdict("/proc/self/exe", {id, 4711}), "") << "then the checksum does not count";
  id[2] ^= 1;
  EXPECT_EQ(verdict("/proc/self/exe", {id, std::nullopt}), "its build id is another");
  id.pop_back();
  EXPECT_EQ(verdict("/proc/self/exe", {id, std::nullopt}), "its build id is another");
  EXPECT_EQ(verdict("/proc/self/exe", {{}, std::nullopt}), "the module has no build id");
}

TEST(debug_file, without_build_ids_the_checksum_counts) {
  folder in;
  const std::string path = in.path + "/debug";
  std::ofstream(path) << "123456789";
  EXPECT_EQ(verdict(path, {{}, 0xcbf43926}), "");
  EXPECT_EQ(verdict(path, {own_build_id(), 0xcbf43926}), "");
  EXPECT_EQ(verdict(path, {{}, 0xcbf43927}), "its checksum is not that of .gnu_debuglink");
  EXPECT_EQ(verdict(path, {own_build_id(), std::nullopt}), "it has no build id");
}

TEST(debug_file, only_regular_files_are_opened) {
  folder in;
  const std::string path = in.path + "/fifo";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(verdict(path, {{}, 1}), "none");  // without O_NONBLOCK this would never return
  EXPECT_EQ(verdict(in.path, {{}, 1}), "none");
  EXPECT_EQ(verdict("/dev/zero", {{}, 1}), "none");
  EXPECT_EQ(verdict(in.path + "/nothing", {{}, 1}), "none");
}
