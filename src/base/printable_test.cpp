#include "base/printable.h"

#include <gtest/gtest.h>

using namespace stray::base;

TEST(printable, what_acts_on_a_terminal_is_escaped) {
  EXPECT_EQ(printable("\x1b]52;c;ZXZpbA==\a\x1b[2J"), R"(\x1b]52;c;ZXZpbA==\a\x1b[2J)");
  EXPECT_EQ(printable("a\r\nb\tc\x7f"), R"(a\r\nb\tc\x7f)");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            R"(\u009b31m)")
      << "the one-character CSI";
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "evil\xe2\x81\xa6\xd8\x9c\xe2\x80\xa8"),
            R"(\u202eevil\u2066\u061c\u2028)");
  EXPECT_EQ(printable(std::string_view("\0\xff\xc3(\xed\xa0\x80", 7)), R"(\x00\xff\xc3(\xed\xa0\x80)");
}

TEST(printable, other_text_stays) {
  for (const char* text : {"", "a::f<int>::{lambda(\"x\")#1}", "C:\\n", "h\xc3\xa9llo", "\xe6\x97\xa5\xe6\x9c\xac",
                           "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb",
                           "10\xc2\xa0"
                           "000"})
    EXPECT_EQ(printable(text), text);
  for (const char* text : {"\x1b\xff\n\xe2\x80\xae", "\\x1b"}) EXPECT_EQ(printable(printable(text)), printable(text));
  EXPECT_EQ(printable_lines("a\n\tb\x1b[2J\r"), "a\n\tb\\x1b[2J\\r");
}

TEST(printable, quoting_is_gos) {
  EXPECT_EQ(quoted("a\"b\\c\n\t\x01"), R"("a\"b\\c\n\t\x01")");
  EXPECT_EQ(quoted("h\xc3\xa9llo"), "\"h\xc3\xa9llo\"");
  EXPECT_EQ(quoted("\xff\xc3"), R"("\xff\xc3")");
  EXPECT_EQ(quoted("\xc2\x85\xc2\xa0\xe2\x80\xae"), R"("\u0085\u00a0\u202e")");
}

TEST(printable, a_word_looks_like_no_other_pair) {
  for (const char* text : {"/buy", "4711", "h\xc3\xa9llo", "a:b,c"}) EXPECT_EQ(as_word(text), text);
  EXPECT_EQ(as_word(""), "\"\"");
  EXPECT_EQ(as_word("a tenant=b"), "\"a tenant=b\"");
  EXPECT_EQ(as_word("a\"b"), R"("a\"b")");
  EXPECT_EQ(as_word("a\nwhy: x"), R"("a\nwhy: x")");
  EXPECT_EQ(as_word("\x1b"), R"("\x1b")");
}
