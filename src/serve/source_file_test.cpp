#include "serve/source_file.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace stray::serve {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

struct sources : testing::Test {
  std::string folder = [] {
    char name[] = "/tmp/stray-sources-XXXXXX";
    return std::string(mkdtemp(name));
  }();
  ~sources() override { fs::remove_all(folder); }
  std::string file(const std::string& name, const std::string& text, mode_t mode = 0644) const {
    std::ofstream(folder + "/" + name) << text;
    chmod((folder + "/" + name).c_str(), mode);
    return folder + "/" + name;
  }
};

using lines = std::map<int, std::string>;

TEST_F(sources, gives_the_lines_asked_for) {
  std::string path = file("a.cpp", "one\ntwo\n\nfour\nfive");
  EXPECT_EQ(read_source(path, {1, 3, 4}).lines, (lines{{1, "one"}, {3, ""}, {4, "four"}}));
  EXPECT_EQ(read_source(path, {5, 6}).lines, (lines{{5, "five"}}));
  std::string text(40000, 'x');
  text.append("\n").append(20000, 'y').append("\nlast\n");
  std::string big = file("big.cpp", text);
  EXPECT_EQ(read_source(big, {1, 3}).lines, (lines{{1, std::string(1024, 'x')}, {3, "last"}}));
  source_lines none = read_source(folder + "/none.cpp", {1});
  EXPECT_TRUE(none.lines.empty());
  EXPECT_EQ(none.refused, "") << "what is not there is passed over";
}

TEST_F(sources, nothing_of_a_relative_path) {
  file("a.cpp", "secret\n");
  fs::path before = fs::current_path();
  fs::current_path(folder);
  EXPECT_TRUE(read_source("a.cpp", {1}).lines.empty());
  EXPECT_TRUE(read_source("./a.cpp", {1}).lines.empty());
  fs::current_path(before);
}

TEST_F(sources, nothing_that_others_may_write) {
  for (mode_t mode : {0664u, 0646u, 0666u}) {
    source_lines got = read_source(file("a.cpp", "x\n", mode), {1});
    EXPECT_TRUE(got.lines.empty()) << mode;
    EXPECT_EQ(got.refused, "others than its owner may write to it") << mode;
  }
}

TEST_F(sources, nothing_of_another_user) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  std::string path = file("a.cpp", "x\n");
  ASSERT_EQ(chown(path.c_str(), 65534, 65534), 0);
  EXPECT_EQ(read_source(path, {1}).refused, "it belongs neither to root nor to this process's user");
  file("secret", "of root\n", 0600);
  std::string link = folder + "/b.cpp", inside = folder + "/c";
  fs::create_symlink("secret", link);
  fs::create_directory_symlink(folder, inside);
  EXPECT_EQ(read_source(link, {1}).lines, (lines{{1, "of root"}})) << "a link of one's own is followed";
  EXPECT_EQ(read_source(inside + "/secret", {1}).lines, (lines{{1, "of root"}})) << "and a linked folder";
  for (const std::string& one : {link, inside}) ASSERT_EQ(lchown(one.c_str(), 65534, 65534), 0);
  source_lines got = read_source(link, {1});
  EXPECT_TRUE(got.lines.empty());
  EXPECT_EQ(got.refused, "another user made the symbolic link \"b.cpp\" on its way");
  EXPECT_TRUE(read_source(inside + "/secret", {1}).lines.empty());
}

TEST_F(sources, what_is_no_file_holds_up_nobody) {
  ASSERT_EQ(mkfifo((folder + "/fifo").c_str(), 0600), 0);
  EXPECT_EQ(read_source(folder + "/fifo", {1}).refused, "it is no regular file");
  fs::create_symlink("/dev/zero", folder + "/zero");
  EXPECT_EQ(read_source(folder + "/zero", {1}).refused, "it is no regular file");
  fs::create_symlink("loop", folder + "/loop");
  EXPECT_TRUE(read_source(folder + "/loop", {1}).lines.empty());
  EXPECT_TRUE(read_source(folder, {1}).lines.empty());
  std::string huge = file("huge.cpp", "x\n");
  ASSERT_EQ(truncate(huge.c_str(), (8 << 20) + 1), 0);
  EXPECT_EQ(read_source(huge, {1}).refused, "it is larger than 8 MB");
}

TEST_F(sources, nothing_with_other_rights_than_the_callers) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can change its user";
  EXPECT_TRUE(sources_are_shown());
  ASSERT_EQ(syscall(SYS_setresuid, -1, 65534, -1), 0);  // of this thread
  bool shown = sources_are_shown();
  ASSERT_EQ(syscall(SYS_setresuid, -1, 0, -1), 0);
  EXPECT_FALSE(shown);
  EXPECT_TRUE(sources_are_shown());
}

TEST_F(sources, excerpts_stand_at_their_places) {
  std::string path = file("a.cpp", "1\n2\n3\n4\n<5>\n6\n7\n8\n9\n"), open_to_all = file("b.cpp", "x\n", 0666);
  std::string text = with_excerpts("AB", {{0, path, 5}, {1, open_to_all, 1}, {2, folder + "/none", 1}});
  EXPECT_EQ(
      text,
      "<pre>    2  2\n    3  3\n    4  4\n<span class=\"here\">    5  &lt;5&gt;</span>\n    6  6\n    7  7\n    8  8\n</pre>\nA"
      "<p class=\"dim\">the source is not shown: " +
          open_to_all + ": others than its owner may write to it</p>\nB");
}

TEST_F(sources, excerpts_are_printable) {
  std::string path = file("a.cpp", "\tint \xc3\xa9;\r\n\x1b]0;x\a\xc2\x9b\xff\r \xe2\x80\xae// \0\n"s);
  EXPECT_EQ(
      with_excerpts("", {{0, path, 2}}),
      "<pre>    1  \tint \xc3\xa9;\n<span class=\"here\">    2  \\x1b]0;x\\a\\u009b\\xff\\r \\u202e// \\x00</span>\n</pre>\n");
}

}  // namespace
}  // namespace stray::serve
