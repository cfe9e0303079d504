#include "serve/source_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <string_view>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/format.h"
#include "base/switch_setting.h"
#include "serve/wait_svg.h"

namespace stray::serve {

namespace {

constexpr off_t most_bytes = 8 << 20;
constexpr std::size_t most_of_all = std::size_t{64} << 20, most_of_a_line = 1024;
constexpr int most_links = 40, around = 3;

class descriptor {
 public:
  explicit descriptor(int fd) noexcept : fd_(fd) {}
  ~descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

bool is_trusted(const struct stat& s) noexcept { return s.st_uid == 0 || s.st_uid == geteuid(); }

// By hand, since the kernel cannot tell whose links are followed. -1: not there, or refused, and then it says why.
int open_source(const std::string& path, std::string& refused, struct stat& s) {
  if (!path.starts_with('/')) return -1;
  std::string rest = path.substr(1);
  descriptor folder(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (int links = 0; folder.get() >= 0;) {
    rest.erase(0, std::min(rest.find_first_not_of('/'), rest.size()));
    if (rest.empty()) return -1;  // a folder
    std::size_t slash = std::min(rest.find('/'), rest.size());
    std::string name = rest.substr(0, slash);
    descriptor found(openat(folder.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (found.get() < 0 || fstat(found.get(), &s) != 0) return -1;
    if (S_ISLNK(s.st_mode)) {
      if (!is_trusted(s)) {
        refused = "another user made the symbolic link \"" + name + "\" on its way";
        return -1;
      }
      char to[4096];
      ssize_t n = readlinkat(found.get(), "", to, sizeof to);
      if (n <= 0 || n == static_cast<ssize_t>(sizeof to) || ++links > most_links) return -1;
      rest = std::string(to, static_cast<std::size_t>(n)) + rest.substr(slash);
      if (rest.starts_with('/')) folder = descriptor(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
      continue;
    }
    if (S_ISDIR(s.st_mode)) {
      rest.erase(0, slash);
      folder = std::move(found);
      continue;
    }
    if (slash != rest.size()) return -1;
    if (!S_ISREG(s.st_mode)) {  // looked at first: to open a device may do something
      refused = "it is no regular file";
      return -1;
    }
    return openat(folder.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  }
  return -1;
}

std::string why_not(const struct stat& s) {
  if (!S_ISREG(s.st_mode)) return "it is no regular file";
  if (!is_trusted(s)) return "it belongs neither to root nor to this process's user";
  if ((s.st_mode & (S_IWGRP | S_IWOTH)) != 0) return "others than its owner may write to it";
  if (s.st_size > most_bytes) return "it is larger than 8 MB";
  return {};
}

std::size_t size_of(const std::map<int, std::string>& lines) {
  std::size_t n = 0;
  for (const auto& [number, text] : lines) n += text.size();
  return n;
}

source_lines read_within(const std::string& path, const std::set<int>& wanted, std::size_t& budget) {
  source_lines out;
  struct stat s {};
  descriptor file(open_source(path, out.refused, s));
  if (file.get() < 0) return out;
  if (fstat(file.get(), &s) != 0) return out;
  out.refused = why_not(s);
  if (!out.refused.empty() || wanted.empty()) return out;
  std::size_t left = std::min(static_cast<std::size_t>(s.st_size), budget);
  const int last = *wanted.rbegin();
  char part[16384];
  for (int number = 1; left != 0 && number <= last;) {
    ssize_t n = read(file.get(), part, std::min(sizeof part, left));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    left -= static_cast<std::size_t>(n);
    budget -= static_cast<std::size_t>(n);
    std::string_view bytes(part, static_cast<std::size_t>(n));
    while (!bytes.empty() && number <= last) {
      std::size_t end = std::min(bytes.find('\n'), bytes.size());
      if (wanted.count(number) != 0) {
        std::string& line = out.lines[number];
        line.append(bytes.substr(0, std::min(end, most_of_a_line - line.size())));
      }
      number += end < bytes.size() ? 1 : 0;
      bytes.remove_prefix(std::min(end + 1, bytes.size()));
    }
  }
  return out;
}

std::string html_of(const source_lines& source, int line, const std::string& file) {
  if (!source.refused.empty())
    return base::format("<p class=\"dim\">the source is not shown: {}: {}</p>\n", html(file), html(source.refused));
  std::string text;
  for (auto at = source.lines.lower_bound(line - around); at != source.lines.end() && at->first <= line + around; ++at) {
    std::string_view shown = at->second;
    if (shown.ends_with('\r')) shown.remove_suffix(1);
    std::string row = base::format("{:5}  {}", at->first, html(shortened(shown, 200)));
    text += at->first == line ? "<span class=\"here\">" + row + "</span>\n" : row + "\n";
  }
  return text.empty() ? text : "<pre>" + text + "</pre>\n";
}

}  // namespace

bool sources_are_shown() noexcept {
  static const bool shown = [] {
    if (!base::switch_setting("STRAY_SOURCE", true, false)) return false;
    return getauxval(AT_SECURE) == 0 && geteuid() == getuid() && getegid() == getgid();
  }();
  return shown && geteuid() == getuid() && getegid() == getgid();  // it may have changed since
}

source_lines read_source(const std::string& path, const std::set<int>& wanted) {
  std::size_t budget = most_of_all;
  return read_within(path, wanted, budget);
}

std::string with_excerpts(const std::string& text, const std::vector<excerpt_place>& places) {
  if (places.empty() || !sources_are_shown()) return text;
  std::map<std::string, std::set<int>> wanted;
  for (const excerpt_place& p : places)
    for (int n = std::max(1, p.line - around); n <= p.line + around; n++) wanted[p.file].insert(n);
  std::map<std::string, source_lines> found;
  std::size_t budget = most_of_all, size = text.size();
  for (const auto& [file, lines] : wanted) {
    found[file] = read_within(file, lines, budget);
    size += 2 * size_of(found[file].lines);
  }
  std::string out;
  out.reserve(size);
  std::size_t done = 0;
  for (const excerpt_place& p : places) {
    out.append(text, done, p.at - done);
    out += html_of(found[p.file], p.line, p.file);
    done = p.at;
  }
  return out.append(text, done);
}

}  // namespace stray::serve
