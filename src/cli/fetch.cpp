#include "cli/fetch.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <httplib.h>
#include <iterator>
#include <set>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace stray::cli {

namespace {

namespace fs = std::filesystem;

struct endpoint {
  std::string origin;  // http://host:port
  std::string path;    // of the target; empty: none was given
};

bool is_pid(const std::string& text) {
  return !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == text.npos;
}

std::string get(const endpoint& at, const std::string& path, std::chrono::seconds limit) {
  httplib::Client client(at.origin);
  client.set_connection_timeout(std::min(limit, std::chrono::seconds(5)));
  client.set_read_timeout(limit);
  client.set_follow_location(true);
  httplib::Result result = client.Get(path);
  if (!result) {
    bool nobody = result.error() == httplib::Error::Connection;
    throw std::runtime_error(
        fmt::format("{}{}: {}", at.origin, path, nobody ? "nobody answers there" : httplib::to_string(result.error())));
  }
  if (result->status != 200) {
    std::string text = result->body.substr(0, 200);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    throw std::runtime_error(fmt::format("{}{} answers {}: {}", at.origin, path, result->status, text));
  }
  return result->body;
}

// Ports on which the process listens.
std::vector<int> ports_of(const std::string& pid) {
  std::set<std::string> inodes;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/" + pid + "/fd", error)) {
    std::string to = fs::read_symlink(entry.path(), error).string();
    if (to.starts_with("socket:[")) inodes.insert(to.substr(8, to.size() - 9));
  }
  if (error && inodes.empty()) throw std::runtime_error(fmt::format("process {}: {}", pid, error.message()));
  std::vector<int> ports;
  for (const char* table : {"tcp", "tcp6"}) {
    std::ifstream in("/proc/" + pid + "/net/" + table);
    std::string line;
    std::getline(in, line);
    while (std::getline(in, line)) {
      std::istringstream fields(line);
      std::vector<std::string> f{std::istream_iterator<std::string>(fields), {}};
      if (f.size() < 10 || f[3] != "0A" || !inodes.contains(f[9])) continue;
      ports.push_back(std::stoi(f[1].substr(f[1].rfind(':') + 1), nullptr, 16));
    }
  }
  return ports;
}

endpoint of_process(const std::string& pid, std::chrono::seconds limit) {
  std::vector<int> ports = ports_of(pid);
  for (int port : ports) {
    endpoint at{fmt::format("http://localhost:{}", port), ""};
    try {
      if (get(at, "/debug/pprof/", std::min(limit, std::chrono::seconds(2))).find("goroutineleak") != std::string::npos)
        return at;
    } catch (const std::exception&) {  // another server's port
    }
  }
  throw std::runtime_error(
      ports.empty() ? fmt::format("process {} listens on no port; start it with STRAY_PPROF=localhost:6060", pid)
                    : fmt::format("process {} has no /debug/pprof/ with goroutineleak on its {} ports", pid, ports.size()));
}

endpoint of_url(std::string target) {
  if (target.find("://") == target.npos) target = "http://" + (target.starts_with(":") ? "localhost" + target : target);
  std::size_t slash = target.find('/', target.find("://") + 3);
  endpoint at{target.substr(0, slash), slash == target.npos ? "" : target.substr(slash)};
  if (at.path == "/") at.path.clear();
  return at;
}

}  // namespace

std::string fetch_profile(const std::string& target, std::chrono::seconds limit) {
  if (!is_pid(target) && fs::is_regular_file(target)) {
    std::ifstream in(target, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  if (!is_pid(target) && target.find(':') == target.npos)
    throw std::runtime_error("it is no file, and neither a PID, HOST:PORT nor an address");
  endpoint at = is_pid(target) ? of_process(target, limit) : of_url(target);
  bool whole = at.path.find("goroutineleak") != at.path.npos;
  return get(at, whole ? at.path : "/debug/pprof/goroutineleak", limit);
}

std::string fetch_longest(const std::string& target, std::chrono::seconds limit) {
  if (!is_pid(target) && fs::is_regular_file(target))
    throw std::runtime_error("a saved profile does not know who has been blocked longest; ask the process");
  endpoint at = is_pid(target) ? of_process(target, limit) : of_url(target);
  return get(at, "/debug/stray/longest", limit);
}

std::string fetch_why(const std::string& target, const std::string& id, std::chrono::seconds limit) {
  endpoint at = is_pid(target) ? of_process(target, limit) : of_url(target);
  return get(at, "/debug/stray/why?id=" + id, limit);
}

}  // namespace stray::cli
