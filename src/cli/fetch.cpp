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
#include <sys/socket.h>
#include <sys/stat.h>
#include <vector>

#include "cli/profile.h"
#include "cli/watchdog.h"

namespace stray::cli {

namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;

struct endpoint {
  std::string origin;  // http://host:port, or unix:/path
  std::string path;    // of the target; empty: none was given
};

std::string token;  // use_token

bool is_pid(const std::string& text) {
  return !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == text.npos;
}

std::string whole_seconds(clock::duration time) {
  return fmt::format("{} s", std::chrono::ceil<std::chrono::seconds>(time).count());
}

// What has come of an answer.
struct progress {
  bool begun = false;  // its head was read
  std::string length;  // as announced; empty: in chunks, or to the end of the connection
  bool chunked = false;
  std::size_t bytes = 0;
};

bool is_length(const std::string& text) {
  return !text.empty() && text.size() < 20 && text.find_first_not_of("0123456789") == text.npos;
}

// The library has one word for all that is wrong with an answer.
std::string cause(httplib::Error error, const progress& p) {
  using enum httplib::Error;
  if (error == Connection || error == ConnectionTimeout) return "nobody answers there";
  if (error == Write) return "it hung up before the request was sent; ask again";
  if (!p.begun) return "it hung up, or what it says is no HTTP; is it the port of an endpoint (STRAY_PPROF, pprof::serve)?";
  const char* advice = "ask again, and if that says the same, see what answers there: curl -v";
  if (!p.length.empty() && !is_length(p.length))
    return fmt::format("its Content-Length is no number of bytes: {}; {}", p.length.substr(0, 40), advice);
  if (p.chunked) return fmt::format("its answer broke off, or has a malformed chunk, after {} bytes; {}", p.bytes, advice);
  if (!p.length.empty()) return fmt::format("its answer broke off after {} of {} bytes; {}", p.bytes, p.length, advice);
  return fmt::format("its answer broke off after {} bytes ({}); {}", p.bytes, httplib::to_string(error), advice);
}

// One request, which ends by then. Redirects are not followed: whoever answers there was not asked for.
std::string get(const endpoint& at, const std::string& path, clock::time_point end) {
  auto fail = [&](const std::string& why) { throw std::runtime_error(fmt::format("{}{}: {}", at.origin, path, why)); };
  clock::duration limit = end - clock::now();
  if (limit <= clock::duration::zero()) fail("no time is left for it");
  const bool unix_socket = at.origin.starts_with("unix:");
  httplib::Client client(unix_socket ? at.origin.substr(5) : at.origin);
  httplib::Headers headers;
  if (unix_socket) {
    client.set_address_family(AF_UNIX);
    headers.emplace("Host", "localhost");
  }
  if (!token.empty()) headers.emplace("Authorization", "Bearer " + token);
  client.set_default_headers(headers);
  client.set_connection_timeout(std::min<clock::duration>(limit, std::chrono::seconds(5)));
  client.set_read_timeout(std::chrono::ceil<std::chrono::seconds>(limit));
  client.set_follow_location(false);
  // The library keeps any number of headers, in twenty times the memory. What has come is more than what it has read.
  constexpr std::size_t most_headers = std::size_t{8} << 20;
  watchdog dog(end, most_headers);
  client.set_socket_options([&](int socket) { dog.watch(socket); });
  std::string body;
  bool too_large = false;
  progress come;
  auto begin = [&](const httplib::Response& head) {
    dog.expect(most_bytes + most_headers);
    come.begun = true;
    come.length = head.get_header_value("Content-Length");
    come.chunked = head.has_header("Transfer-Encoding");
    return !head.has_header("Content-Length") || is_length(come.length);  // the library takes what is none for 0
  };
  httplib::Result result = client.Get(path, begin, [&](const char* bytes, std::size_t size) {
    come.bytes += size;
    too_large = body.size() + size > most_bytes;
    if (!too_large) body.append(bytes, size);
    return !too_large;
  });
  if (dog.flooded() && !come.begun) fail(fmt::format("its headers are larger than {} MB", most_headers >> 20));
  if (too_large || dog.flooded()) fail(fmt::format("its answer is larger than {} MB", most_bytes >> 20));
  if (dog.late()) fail("no whole answer within " + whole_seconds(limit));
  if (!result) fail(cause(result.error(), come));
  if (result->status >= 300 && result->status < 400)
    throw std::runtime_error(fmt::format("{}{} answers {}: it leads to {}, which is not followed", at.origin, path,
                                         result->status, result->get_header_value("Location").substr(0, 200)));
  if (result->status != 200) {
    std::string text = body.substr(0, 200);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    throw std::runtime_error(fmt::format("{}{} answers {}: {}", at.origin, path, result->status, text));
  }
  return body;
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

// In a network of its own (a container) it has ports of its own: on the same ones of ours somebody else may listen.
void check_network(const std::string& pid) {
  struct stat own {
  }, its{};
  if (stat("/proc/self/ns/net", &own) != 0 || stat(("/proc/" + pid + "/ns/net").c_str(), &its) != 0) return;
  if (own.st_ino != its.st_ino || own.st_dev != its.st_dev)
    throw std::runtime_error(
        fmt::format("process {0} is in another network namespace, so its ports are not those of this machine; ask there "
                    "(nsenter --net --target {0} stray top {0}), or give the HOST:PORT by which it is reached",
                    pid));
}

endpoint of_process(const std::string& pid, clock::time_point end) {
  check_network(pid);
  std::vector<int> ports = ports_of(pid);
  for (int port : ports) {
    endpoint at{fmt::format("http://localhost:{}", port), ""};
    try {
      if (get(at, "/debug/pprof/", std::min(end, clock::now() + std::chrono::seconds(2))).find("goroutineleak") !=
          std::string::npos)
        return at;
    } catch (const std::exception&) {  // another server's port
    }
  }
  throw std::runtime_error(
      ports.empty() ? fmt::format("process {} listens on no port; start it with STRAY_PPROF=localhost:6060", pid)
                    : fmt::format("process {} has no /debug/pprof/ with goroutineleak on its {} ports", pid, ports.size()));
}

endpoint of_url(std::string target) {
  if (target.starts_with("unix:")) return {target, ""};
  if (target.find('@') != target.npos)
    throw std::runtime_error(
        "a name and a password in an address are not sent; give the endpoint's token by STRAY_PPROF_TOKEN or --token");
  if (target.find("://") == target.npos) target = "http://" + (target.starts_with(":") ? "localhost" + target : target);
  std::size_t slash = target.find('/', target.find("://") + 3);
  endpoint at{target.substr(0, slash), slash == target.npos ? "" : target.substr(slash)};
  if (at.path == "/") at.path.clear();
  return at;
}

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes;
  char buffer[16384];
  while (in.read(buffer, sizeof buffer), in.gcount() > 0) {
    bytes.append(buffer, static_cast<std::size_t>(in.gcount()));
    if (bytes.size() > most_bytes) throw std::runtime_error(fmt::format("it is larger than {} MB", most_bytes >> 20));
  }
  return bytes;
}

}  // namespace

std::string without_password(const std::string& target) {
  std::size_t scheme = target.find("://"), begin = scheme == target.npos ? 0 : scheme + 3;
  std::size_t colon = target.find(':', begin), end = target.rfind('@');
  if (target.starts_with("unix:") || target.starts_with('/') || target.starts_with('.')) return target;
  if (end == target.npos || colon >= end) return target;
  return target.substr(0, colon + 1) + "xxxxx" + target.substr(end);
}

void use_token(std::string text) {
  if (text.find_first_of("\r\n") != text.npos) throw std::runtime_error("the token has a line feed");
  token = std::move(text);
}

std::string fetch_profile(const std::string& target, std::chrono::seconds limit) {
  clock::time_point end = clock::now() + limit;
  if (!is_pid(target) && fs::is_regular_file(target)) return contents(target);
  if (!is_pid(target) && target.find(':') == target.npos)
    throw std::runtime_error("it is no file, and neither a PID, HOST:PORT, unix:/path nor an address");
  endpoint at = is_pid(target) ? of_process(target, end) : of_url(target);
  bool whole = at.path.find("goroutineleak") != at.path.npos;
  return get(at, whole ? at.path : "/debug/pprof/goroutineleak", end);
}

std::string fetch_longest(const std::string& target, std::chrono::seconds limit) {
  if (!is_pid(target) && fs::is_regular_file(target))
    throw std::runtime_error("a saved profile does not know who has been blocked longest; ask the process");
  clock::time_point end = clock::now() + limit;
  endpoint at = is_pid(target) ? of_process(target, end) : of_url(target);
  return get(at, "/debug/stray/longest", end);
}

std::string fetch_why(const std::string& target, const std::string& id, std::chrono::seconds limit) {
  clock::time_point end = clock::now() + limit;
  endpoint at = is_pid(target) ? of_process(target, end) : of_url(target);
  return get(at, "/debug/stray/why?id=" + id, end);
}

}  // namespace stray::cli
