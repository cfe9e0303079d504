#include "serve/gate.h"

#include <gtest/gtest.h>

namespace stray::serve {
namespace {

// The status for a head with these fields on a loopback listener of "web1"; 200: it may be answered.
int status_of(const std::string& fields, bool loopback = true, std::string_view allowed = {}) {
  request_head head;
  const std::string text = "GET / HTTP/1.1\r\n" + fields + "\r\n";
  EXPECT_EQ(parse_head(text, head), 200) << fields;
  auto r = turned_away(head, loopback, "Web1", allowed);
  EXPECT_TRUE(!r || (r->body.starts_with("stray: ") && r->body.ends_with("\n")));
  return r ? r->status : 200;
}

TEST(gate, only_local_names_on_loopback) {
  for (const char* host : {"localhost", "LOCALHOST:6060", "localhost.", "app.localhost:80", "127.0.0.1:6060", "127.9.9.9",
                           "10.1.2.3:1", "[::1]:6060", "[fe80::1]", "web1:6060"})
    EXPECT_EQ(status_of(std::string("Host: ") + host + "\r\n"), 200) << host;
  EXPECT_EQ(status_of(""), 200) << "HTTP/1.0 has none";
  for (const char* host : {"evil.example.com", "evil.example.com:6060", "localhost.evil.com", "127.0.0.1.evil.com",
                           "notlocalhost", "::1", "[evil.com]:80", "127.0.0.1@evil.com"})
    EXPECT_EQ(status_of(std::string("Host: ") + host + "\r\n"), 403) << host;
}

TEST(gate, other_names_by_the_environment_or_on_other_interfaces) {
  EXPECT_EQ(status_of("Host: b.example.com:80\r\n", true, "a.example.com,B.example.com"), 200);
  EXPECT_EQ(status_of("Host: c.example.com:80\r\n", true, "a.example.com,b.example.com"), 403);
  EXPECT_EQ(status_of("Host: c.example.com:80\r\n", true, "*"), 200);
  EXPECT_EQ(status_of("Host: c.example.com:80\r\n", false), 200);
}

TEST(gate, no_request_of_another_site) {
  const std::string here = "Host: localhost:6060\r\n";
  for (bool loopback : {true, false}) {
    EXPECT_EQ(status_of(here + "Sec-Fetch-Site: cross-site\r\n", loopback), 403);
    EXPECT_EQ(status_of(here + "Origin: http://evil.example.com\r\n", loopback), 403);
    EXPECT_EQ(status_of(here + "Origin: null\r\n", loopback), 403);
    EXPECT_EQ(status_of(here + "Origin: http://localhost:3000\r\n", loopback), 403) << "another port is another origin";
    for (const char* good : {"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none", "Origin: http://localhost:6060",
                             "Origin: https://LOCALHOST:6060"})
      EXPECT_EQ(status_of(here + good + "\r\n", loopback), 200) << good;
  }
}

TEST(gate, a_token_where_one_is_wanted) {
  auto status = [](const std::string& fields, std::string_view token) {
    request_head head;
    const std::string text = "GET / HTTP/1.1\r\n" + fields + "\r\n";
    EXPECT_EQ(parse_head(text, head), 200);
    auto r = without_token(head, token);
    return r ? r->status : 200;
  };
  EXPECT_EQ(status("", ""), 200);
  EXPECT_EQ(status("", "secret"), 401);
  for (const char* good : {"Bearer secret", "bearer secret", "Basic eDpzZWNyZXQ=", "Basic OnNlY3JldA=="})
    EXPECT_EQ(status(std::string("Authorization: ") + good + "\r\n", "secret"), 200) << good;
  for (const char* bad : {"secret", "Bearer", "Bearer ", "Bearer secre", "Bearer secretsecret", "Bearer Secret", "Basic secret",
                          "Basic !!", "Basic c2VjcmV0OmE=", "Digest secret"})
    EXPECT_EQ(status(std::string("Authorization: ") + bad + "\r\n", "secret"), 401) << bad;
}

TEST(gate, headers_once) {
  response r{200, {{"Cache-Control", "max-age=5"}}, ""};
  add_guard_headers(r);
  add_guard_headers(r);
  EXPECT_EQ(r.headers.size(), 5u);
  EXPECT_EQ(r.headers[0].second, "max-age=5");
}

}  // namespace
}  // namespace stray::serve
