#include "serve/request_head.h"

#include <gtest/gtest.h>
#include <string>

namespace stray::serve {
namespace {

int status_of(std::string_view head) {
  request_head out;
  return parse_head(head, out);
}

TEST(request_head, reads_a_line_and_its_fields) {
  request_head h;
  ASSERT_EQ(parse_head("GET /a?b=%20c HTTP/1.1\r\nHost: x:80\r\nEMPTY:\r\nx-y: \t a b \r\n\r\n", h), 200);
  EXPECT_EQ(h.method, "GET");
  EXPECT_EQ(h.target, "/a?b=%20c");
  EXPECT_EQ(h.field("host"), "x:80");
  EXPECT_EQ(h.field("Empty"), "");
  EXPECT_EQ(h.field("X-Y"), "a b");
  EXPECT_EQ(h.field("absent"), "");
  EXPECT_TRUE(h.keep_alive);
  EXPECT_FALSE(h.has_body);
}

TEST(request_head, says_who_stays) {
  auto stays = [](std::string head) {
    request_head h;
    EXPECT_EQ(parse_head(head, h), 200) << head;
    return h.keep_alive;
  };
  EXPECT_TRUE(stays("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_FALSE(stays("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(stays("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
  EXPECT_FALSE(stays("GET / HTTP/1.1\r\nconnection: x, CLOSE\r\n\r\n"));
  EXPECT_FALSE(stays("GET / HTTP/1.1\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(request_head, knows_a_body) {
  auto body = [](std::string fields) {
    request_head h;
    EXPECT_EQ(parse_head("POST / HTTP/1.1\r\n" + fields + "\r\n", h), 200) << fields;
    return h.has_body;
  };
  EXPECT_FALSE(body(""));
  EXPECT_FALSE(body("Content-Length: 0\r\n"));
  EXPECT_TRUE(body("Content-Length: 1\r\nContent-Length: 1\r\n"));
  EXPECT_TRUE(body("Content-Length: 0\r\nContent-Length: 0\r\n"))
      << "who counts otherwise must not see another request in the rest";
  EXPECT_TRUE(body("Content-Length: 00\r\n"));
  EXPECT_TRUE(body("Transfer-Encoding: identity\r\n"));
  EXPECT_TRUE(body("Transfer-Encoding: chunked\r\n"));
}

TEST(request_head, refuses_what_is_not_plainly_one) {
  for (std::string_view line :
       {"", "GET", "GET /", "GET  HTTP/1.1", "GET / http/1.1", "GET /a b HTTP/1.1", " GET / HTTP/1.1", "G:T / HTTP/1.1",
        "GET x HTTP/1.1", "GET http://x/ HTTP/1.1", "GET /\x7f HTTP/1.1", "GET /\x01 HTTP/1.1", "GET / HTTP/1.1 "})
    EXPECT_EQ(status_of(std::string(line) + "\r\n\r\n"), 400) << line;
  EXPECT_EQ(status_of("GET / HTTP/9.9\r\n\r\n"), 505);
  for (std::string_view field :
       {"no colon", ": no name", "a b: c", "Host : x", " folded: x", "A: \x01", "Content-Length: -5", "Content-Length: +5",
        "Content-Length: 5x", "Content-Length: 99999999999999999999", "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length:", "Host: a\r\nhost: a", "Content-Length : 60"})
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\n" + std::string(field) + "\r\n\r\n"), 400) << field;
}

TEST(request_head, knows_where_it_ends) {
  EXPECT_EQ(head_size(""), 0u);
  EXPECT_EQ(head_size("GET / HTTP/1.1\r\n"), 0u);
  EXPECT_EQ(head_size("GET / HTTP/1.1\r\n\r"), 0u);
  EXPECT_EQ(head_size("GET / HTTP/1.1\r\n\r\nmore"), 18u);
  EXPECT_EQ(head_size("GET / HTTP/1.1\n\nmore"), 16u);
  EXPECT_EQ(head_size("a\r\nb: c\n\r\n"), 10u);
}

}  // namespace
}  // namespace stray::serve
