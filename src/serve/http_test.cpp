#include "serve/http.h"

#include <arpa/inet.h>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <latch>
#include <linux/sockios.h>
#include <map>
#include <mutex>
#include <netinet/in.h>
#include <random>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <system_error>
#include <thread>
#include <unistd.h>

#include "base/clock.h"

using namespace stray::serve;

namespace {

response hello(const request& r) {
  response out;
  out.headers = {{"Content-Type", "text/plain; charset=utf-8"}, {"X-Content-Type-Options", "nosniff"}, {"X-Mine", "1"}};
  if (r.method != "GET" && r.method != "HEAD") {
    out.status = 405;
    out.headers.emplace_back("Allow", "GET, HEAD");
  }
  if (r.target == "/missing") out.status = 404;
  out.body = std::string(r.method) + " " + std::string(r.target) + "\n";
  if (r.target == "/big") out.body.assign(8 << 20, 'b');
  return out;
}

struct client {
  int fd;
  explicit client(int port) : fd(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    timeval limit{20, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~client() { close(fd); }
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  void send(std::string_view text) const { [[maybe_unused]] auto n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL); }
  // Until the other side's kernel has all that was sent.
  void until_there() const {
    for (int left = 1; left != 0; std::this_thread::yield()) ASSERT_EQ(ioctl(fd, SIOCOUTQ, &left), 0);
  }
  // To the end of the stream.
  std::string all() const {
    std::string out;
    char buffer[4096];
    for (ssize_t n; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;) out.append(buffer, static_cast<std::size_t>(n));
    return out;
  }
  // Until the text has come.
  std::string until(std::string_view end) const {
    std::string out;
    char c;
    while (out.find(end) == std::string::npos && recv(fd, &c, 1, 0) == 1) out += c;
    return out;
  }
};

std::string ask(int port, std::string_view text) {
  client c(port);
  c.send(text);
  return c.all();
}
std::string get(int port, const std::string& target, const std::string& more = "") {
  return ask(port, "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + more + "\r\n");
}

std::string error_of(std::string_view address) {
  try {
    http_server server(address, hello);
  } catch (const std::system_error& e) {
    EXPECT_NE(e.code().value(), 0);
    return e.what();
  }
  return "no error";
}

}  // namespace

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << "no \"" << (part) << "\" in:\n" << (text)

TEST(http, answers_with_the_handlers_status_headers_and_body) {
  http_server server("localhost:0", hello);
  ASSERT_GT(server.port(), 0);
  std::string answer = get(server.port(), "/a?b=%20c");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_HAS(answer, "\r\nContent-Type: text/plain; charset=utf-8\r\n");
  EXPECT_HAS(answer, "\r\nX-Content-Type-Options: nosniff\r\n");
  EXPECT_EQ(answer.find("nosniff"), answer.rfind("nosniff"));
  EXPECT_HAS(answer, "\r\nX-Mine: 1\r\n");
  EXPECT_HAS(answer, "\r\nDate: ");
  EXPECT_HAS(answer, "\r\nContent-Length: 14\r\n");
  EXPECT_TRUE(answer.ends_with("\r\n\r\nGET /a?b=%20c\n")) << answer;
  EXPECT_TRUE(get(server.port(), "/missing").starts_with("HTTP/1.1 404 Not Found\r\n"));
}

TEST(http, head_has_the_length_without_the_body) {
  http_server server("127.0.0.1:0", hello);
  std::string answer = ask(server.port(), "HEAD /x HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_HAS(answer, "\r\nContent-Length: 8\r\n");
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
}

TEST(http, other_methods_and_their_bodies) {
  http_server server("127.0.0.1:0", hello);
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    std::string answer = ask(
        server.port(), std::string(method) + " /x HTTP/1.1\r\nContent-Length: 30\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n....");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n")) << method << answer;
    EXPECT_HAS(answer, "\r\nAllow: GET, HEAD\r\n");
    EXPECT_EQ(answer.find("smuggled"), std::string::npos);
  }
}

TEST(http, keep_alive_and_pipelining) {
  http_server server("127.0.0.1:0", hello);
  client c(server.port());
  c.send("GET /1 HTTP/1.1\r\n\r\n");
  EXPECT_HAS(c.until("GET /1\n"), "200 OK");
  c.send("GET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\nConnection: close\r\n\r\n");
  std::string rest = c.all();
  EXPECT_HAS(rest, "GET /2\n");
  EXPECT_HAS(rest, "GET /3\n");
}

TEST(http, a_big_body_arrives_whole_and_ranges_are_not_served) {
  http_server server("127.0.0.1:0", hello);
  std::string answer = get(server.port(), "/big", "Range: bytes=0-1,0-1,0-1\r\nAccept-Encoding: gzip, br\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer.substr(0, 300);
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, std::size_t{8} << 20);
}

TEST(http, a_port_in_use_is_told_with_a_hint) {
  http_server first("localhost:0", hello);
  std::string address = "localhost:" + std::to_string(first.port());
  EXPECT_EQ(error_of(address),
            "stray: cannot serve on " + address +
                ": Address already in use; another process has the port: choose another one, or port 0 for any free one");
}

TEST(http, bad_addresses_are_told_with_a_hint) {
  for (const char* address : {"", "localhost", "localhost:", "localhost:x", "localhost:65536", "localhost:-1", "::1:80",
                              "[::1:80", "no such host:80", "1.2.3.4:80"}) {
    std::string text = error_of(address);
    EXPECT_TRUE(text.starts_with("stray: cannot serve on ")) << address << ": " << text;
    EXPECT_HAS(text, ";") << address;
  }
}

TEST(http, address_forms) {
  http_server four("127.0.0.1:0", hello);
  EXPECT_HAS(get(four.port(), "/"), "200 OK");
  testing::internal::CaptureStderr();
  {
    http_server all(":0", hello);
    EXPECT_HAS(get(all.port(), "/"), "200 OK");
    http_server local("localhost:0", hello);
    try {
      http_server six("[::1]:0", hello);
      EXPECT_GT(six.port(), 0);
    } catch (const std::system_error& e) {
      std::printf("no IPv6 here: %s\n", e.what());
    }
  }
  std::string said = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(said.starts_with("stray: warning: /debug/pprof on :0 can be reached from other machines")) << said;
  EXPECT_EQ(said.find('\n'), said.size() - 1) << "one warning, for :0 only: " << said;
}

TEST(http, a_unix_socket_is_for_its_user) {
  char folder[] = "/tmp/stray-unix-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/s", address = "unix:" + path;
  auto ask_there = [&] {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::strncpy(to.sun_path, path.c_str(), sizeof to.sun_path - 1);
    std::string out = connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 ? "refused" : "";
    std::string_view text = "GET /x HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n";
    [[maybe_unused]] auto sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    char part[1000];
    for (ssize_t n; (n = recv(fd, part, sizeof part, 0)) > 0;) out.append(part, static_cast<std::size_t>(n));
    close(fd);
    return out;
  };
  {
    http_server server(address, hello);
    EXPECT_EQ(server.port(), 0);
    struct stat s {};
    ASSERT_EQ(stat(path.c_str(), &s), 0);
    EXPECT_EQ(s.st_mode & 0777, 0600u);
    EXPECT_HAS(ask_there(), "200 OK");
    EXPECT_HAS(error_of(address), "another process serves there");
    EXPECT_HAS(ask_there(), "200 OK");
    if (geteuid() == 0) {
      chmod(path.c_str(), 0666);
      chmod(folder, 0755);
      ASSERT_EQ(syscall(SYS_setresuid, -1, 65534, -1), 0);  // of this thread
      std::string said = ask_there();
      ASSERT_EQ(syscall(SYS_setresuid, -1, 0, -1), 0);
      EXPECT_EQ(said, "") << "another user, though the file is open to all";
    }
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  int left = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);  // as a process leaves it that was killed
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  std::strncpy(at.sun_path, path.c_str(), sizeof at.sun_path - 1);
  ASSERT_EQ(bind(left, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  close(left);
  {
    http_server server(address, hello);
    EXPECT_HAS(ask_there(), "200 OK");
  }
  std::ofstream(path) << "a file of the user's";
  EXPECT_HAS(error_of(address), "no socket: choose another path");
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_HAS(error_of("unix:/nowhere/at/all"), "its folder must be there");
  EXPECT_HAS(error_of("unix:relative"), "does not begin with /");
  EXPECT_HAS(error_of("unix:/" + std::string(200, 'x')), "longer than 107 bytes");
  std::filesystem::remove_all(folder);
}

TEST(http, garbage_does_no_harm) {
  http_server server("127.0.0.1:0", hello);
  std::mt19937 random(7);
  std::string header_bomb = "GET / HTTP/1.1\r\n";
  while (header_bomb.size() < 100000) header_bomb += "A: b\r\n";
  for (const std::string& text : {std::string("\r\n\r\n"), std::string("\0\0\0\0\r\n\r\n", 8), std::string("GET\r\n\r\n"),
                                  std::string("GET / HTTP/9.9\r\n\r\n"), std::string("BREW /pot HTTP/1.1\r\n\r\n"),
                                  "GET /" + std::string(100000, 'a') + " HTTP/1.1\r\n\r\n",
                                  "GET / HTTP/1.1\r\nX: " + std::string(100000, 'a') + "\r\n\r\n", header_bomb + "\r\n",
                                  std::string("GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n"),
                                  std::string("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"),
                                  std::string("GET /%zz?%%% HTTP/1.1\r\nConnection: close\r\n\r\n"),
                                  std::string("GET / HTTP/1.1\r\nRange: bytes=") + std::string(8000, '-') + "\r\n\r\n"}) {
    client c(server.port());
    c.send(text);
    shutdown(c.fd, SHUT_WR);
    std::string answer = c.all();
    EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 ")) << answer.substr(0, 100);
  }
  for (int round = 0; round < 300; ++round) {
    std::string noise(random() % 300, ' ');
    for (char& c : noise) c = static_cast<char>(random());
    if (round % 2 == 0) noise = "GET /" + noise + "\r\n\r\n";
    client c(server.port());
    c.send(noise);
    if (round % 3 == 0) continue;  // gone without a word
    shutdown(c.fd, SHUT_WR);
    c.all();
  }
  EXPECT_HAS(get(server.port(), "/after"), "200 OK");
}

TEST(http, slow_clients_do_not_shut_the_door) {
  http_server server("127.0.0.1:0", hello);
  std::vector<std::unique_ptr<client>> slow;
  for (int i = 0; i < 6; ++i) {
    slow.push_back(std::make_unique<client>(server.port()));
    if (i % 2 == 0) slow.back()->send("GET / HT");
  }
  EXPECT_HAS(get(server.port(), "/still"), "200 OK");
}

TEST(http, stop_is_prompt_with_open_connections_and_waiting_requests) {
  std::latch waiting(1);
  std::atomic<int> outcome{-1};
  auto server = std::make_unique<http_server>("127.0.0.1:0", [&](const request& r) {
    response out;
    if (r.target == "/wait") {
      waiting.count_down();
      outcome = r.wait(std::chrono::seconds(300)) ? 1 : 0;
    }
    return out;
  });
  client idle(server->port()), half(server->port()), waits(server->port());
  half.send("GET / HTT");
  waits.send("GET /wait HTTP/1.1\r\n\r\n");
  waiting.wait();
  auto start = std::chrono::steady_clock::now();
  server.reset();
  EXPECT_EQ(outcome, 0);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

std::size_t open_files() {
  auto all = std::filesystem::directory_iterator("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// What is found for the first of those that wait may answer the others, and nobody who comes later.
TEST(http, knows_who_had_sent_before_a_request_was_served) {
  std::mutex lock;
  std::map<std::string, std::int64_t> sent, served;
  std::latch held(4), late_has_sent(1);
  std::atomic<int> may_go{0};
  http_server server("127.0.0.1:0", [&](const request& r) {
    {
      std::lock_guard guard(lock);
      sent[std::string(r.target)] = r.sent_ns;
      served[std::string(r.target)] = stray::base::now_ns();
    }
    if (r.target == "/hold") {
      held.count_down();
      for (int n = may_go; n == 0 || !may_go.compare_exchange_strong(n, n - 1); n = may_go) std::this_thread::yield();
    }
    if (r.target == "/early") late_has_sent.wait();
    return response{};
  });
  auto request_of = [](const std::string& target) { return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n"; };
  std::vector<std::unique_ptr<client>> holders;
  for (int i = 0; i < 4; ++i) {
    holders.push_back(std::make_unique<client>(server.port()));
    holders.back()->send(request_of("/hold"));
  }
  held.wait();
  std::size_t before = open_files();
  client early(server.port()), too(server.port()), late(server.port());
  early.send(request_of("/early"));
  too.send(request_of("/too"));
  early.until_there();
  too.until_there();
  while (open_files() != before + 6) std::this_thread::yield();  // all three wait for a thread
  holders[0].reset();
  may_go = 1;
  for (bool there = false; !there; std::this_thread::yield()) {
    std::lock_guard guard(lock);
    there = served.count("/early") == 1;
  }
  late.send(request_of("/late"));
  late.until_there();
  late_has_sent.count_down();
  early.until("200 OK");
  shutdown(early.fd, SHUT_WR);
  too.until("200 OK");
  shutdown(too.fd, SHUT_WR);
  late.until("\r\n\r\n");
  late.send(request_of("/again"));
  late.until("200 OK");
  may_go = 3;
  EXPECT_LE(sent["/early"], served["/early"]);
  EXPECT_LE(sent["/too"], served["/early"]);
  EXPECT_GE(sent["/late"], served["/early"]);
  EXPECT_GE(sent["/again"], served["/late"]);
}

TEST(http, a_waiting_request_ends_when_its_client_leaves) {
  std::latch started(1), ended(1);
  http_server server("127.0.0.1:0", [&](const request& r) {
    started.count_down();
    EXPECT_FALSE(r.wait(std::chrono::seconds(300)));
    ended.count_down();
    return response{};
  });
  {
    client c(server.port());
    c.send("GET /wait HTTP/1.1\r\n\r\n");
    started.wait();
  }
  ended.wait();
}

TEST(http, silent_connections_do_not_shut_the_door) {
  http_server server("127.0.0.1:0", hello);
  std::vector<std::unique_ptr<client>> silent;
  for (int i = 0; i < 150; ++i) silent.push_back(std::make_unique<client>(server.port()));
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; i++) EXPECT_HAS(get(server.port(), "/still"), "200 OK");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  char byte;
  EXPECT_EQ(recv(silent[0]->fd, &byte, 1, 0), 0) << "the oldest was let go";
  EXPECT_EQ(recv(silent.back()->fd, &byte, 1, MSG_DONTWAIT), -1) << "the last one waits";
}

TEST(http, half_heads_do_not_shut_the_door) {
  http_server server("127.0.0.1:0", hello);
  std::vector<std::unique_ptr<client>> slow;
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {
    slow.push_back(std::make_unique<client>(server.port()));
    slow.back()->send("GET / HT");
    if (i != 20 && i != 80) continue;
    EXPECT_HAS(get(server.port(), "/still"), "200 OK");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
}

TEST(http, leaves_descriptors_to_the_program) {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit few = before;
  few.rlim_cur = 400;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<std::unique_ptr<client>> silent;
  {
    http_server server("127.0.0.1:0", hello);
    few.rlim_cur = 64;
    std::size_t own = open_files();
    setrlimit(RLIMIT_NOFILE, &few);
    for (int i = 0; i < 24; ++i) silent.push_back(std::make_unique<client>(server.port()));
    char byte;
    auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(recv(silent[11]->fd, &byte, 1, 0), 0) << "12 may wait";
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2)) << "not because it was silent for too long";
    few.rlim_cur = 400;
    setrlimit(RLIMIT_NOFILE, &few);
    EXPECT_HAS(get(server.port(), "/"), "200 OK");
    EXPECT_LE(open_files(), own + 24 + 16) << "a quarter of 64";
  }
  setrlimit(RLIMIT_NOFILE, &before);
}

TEST(http, no_number_below_64_is_taken) {
  std::size_t low = 0;
  auto count = [&] {
    low = 0;
    for (int fd = 0; fd < 64; fd++) low += fcntl(fd, F_GETFD) >= 0;
    return low;
  };
  std::size_t before = count();
  http_server server("127.0.0.1:0", hello);
  EXPECT_EQ(count(), before);
}

int server_threads() {
  int n = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::ifstream(task.path() / "comm") >> name;
    n += name == "stray-http";
  }
  return n;
}

// A daemon closes what it did not open.
TEST(http, ends_when_the_program_closes_its_socket) {
  auto server = std::make_unique<http_server>("127.0.0.1:0", hello);
  int port = server->port(), socket = -1;
  for (int fd = 64; fd < 200; fd++) {
    int listens = 0;
    socklen_t size = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0) socket = fd;
  }
  ASSERT_GE(socket, 64);
  testing::internal::CaptureStderr();
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(dup3(null, socket, O_CLOEXEC), socket);
  close(null);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  while (server_threads() != 4) {  // the listener may sleep in its call until somebody comes
    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
    close(fd);
  }
  std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(said, "stray: the program has closed the socket of /debug/pprof, which is served no longer\n");
  server.reset();
  EXPECT_GE(fcntl(socket, F_GETFD), 0) << "that number is somebody else's now";
  close(socket);
}

TEST(http, other_hosts_and_sites_are_turned_away) {
  http_server server("localhost:0", hello);
  auto with = [&](const std::string& fields) {
    return ask(server.port(), "GET /x HTTP/1.1\r\n" + fields + "Connection: close\r\n\r\n");
  };
  EXPECT_HAS(with("Host: localhost\r\n"), "200 OK");
  std::string answer = with("Host: evil.example.com\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 Forbidden\r\n")) << answer;
  EXPECT_HAS(answer, "STRAY_PPROF_HOSTS=evil.example.com");
  EXPECT_HAS(answer, "\r\nCross-Origin-Resource-Policy: same-origin\r\n");
  EXPECT_HAS(with("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n"), "403 Forbidden");
  EXPECT_HAS(with("Host: localhost\r\nOrigin: http://evil.example.com\r\n"), "403 Forbidden");
}

TEST(http, nothing_is_served_after_a_length_that_is_not_one_zero) {
  http_server server("127.0.0.1:0", hello);
  for (const char* fields : {"Content-Length: 0\r\nContent-Length: 0\r\n", "Content-Length: 00\r\n", "Content-Length : 30\r\n",
                             "Transfer-Encoding: identity\r\n"}) {
    std::string answer = ask(server.port(), std::string("GET /x HTTP/1.1\r\n") + fields + "\r\nGET /smuggled HTTP/1.1\r\n\r\n");
    EXPECT_EQ(answer.find("smuggled"), std::string::npos) << fields;
  }
}

TEST(http, its_threads_are_named_and_take_no_signals_of_the_program) {
  struct sigaction before {
  }, after{};
  sigaction(SIGPIPE, nullptr, &before);
  http_server server("127.0.0.1:0", hello);
  EXPECT_HAS(get(server.port(), "/"), "200 OK");
  sigaction(SIGPIPE, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
  sigset_t mine;
  pthread_sigmask(SIG_SETMASK, nullptr, &mine);
  EXPECT_FALSE(sigismember(&mine, SIGTERM));
  // A thread has its name at once and its mask when it first runs: look until all have.
  int named = 0, masked = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (masked < 5 && std::chrono::steady_clock::now() < end) {
    named = masked = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::string name, line;
      std::ifstream(task.path() / "comm") >> name;
      if (name != "stray-http") continue;
      ++named;
      std::ifstream status(task.path() / "status");
      while (std::getline(status, line))
        if (line.starts_with("SigBlk:")) {
          auto mask = std::stoull(line.substr(8), nullptr, 16);
          auto blocked = [&](int s) { return (mask >> (s - 1) & 1) != 0; };
          masked += blocked(SIGTERM) && blocked(SIGINT) && blocked(SIGPIPE) && blocked(SIGUSR1) && !blocked(SIGSEGV) &&
                    !blocked(SIGPROF) && !blocked(SIGTRAP);
        }
    }
  }
  EXPECT_EQ(named, 5);
  EXPECT_EQ(masked, 5);
}

TEST(http, many_clients_at_once) {
  std::atomic<int> served{0};
  http_server server("127.0.0.1:0", [&](const request&) {
    ++served;
    return response{200, {}, "ok"};
  });
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) good += get(server.port(), "/").ends_with("\r\n\r\nok");
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(good, 200);
  EXPECT_EQ(served, 200);
}

TEST(http, a_throwing_handler_ends_its_connection_only) {
  http_server server("127.0.0.1:0", [](const request& r) {
    if (r.target == "/throw") throw std::runtime_error("no");
    return response{200, {}, "ok"};
  });
  testing::internal::CaptureStderr();
  get(server.port(), "/throw");
  EXPECT_HAS(get(server.port(), "/"), "200 OK");
  testing::internal::GetCapturedStderr();
}
