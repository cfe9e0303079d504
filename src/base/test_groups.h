// For tests: a tree of control groups in a folder of its own, which goes with it.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

namespace stray::base {

class test_groups {
 public:
  test_groups() : root_(std::filesystem::temp_directory_path() / ("stray-cgroup-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(root_);
  }
  ~test_groups() { std::filesystem::remove_all(root_); }
  test_groups(const test_groups&) = delete;
  test_groups& operator=(const test_groups&) = delete;
  // In one step: a reader sees the old text or the new.
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / "new") << text;
    std::filesystem::rename(root_ / "new", root_ / path);
  }
  std::string list() const { return root_ / "list"; }
  std::string mount() const { return root_; }

 private:
  std::filesystem::path root_;
};

}  // namespace stray::base
