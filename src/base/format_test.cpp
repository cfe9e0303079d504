#include "base/format.h"

#include <gtest/gtest.h>
#include <limits>
#include <string>

namespace stray::base {
namespace {

TEST(format, puts_values_where_the_pattern_says) {
  EXPECT_EQ(format("nothing"), "nothing");
  EXPECT_EQ(format("{} and {}", 1, "two"), "1 and two");
  EXPECT_EQ(format("{}{}{}", std::string("a"), std::string_view("b"), 'c'), "abc");
  EXPECT_EQ(format("{{{}}}", 7), "{7}");
  EXPECT_EQ(format("{} {}", std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::uint64_t>::max()),
            "-9223372036854775808 18446744073709551615");
  EXPECT_EQ(format("{}", true), "1");
}

TEST(format, widths_and_kinds) {
  EXPECT_EQ(format("{:5}|{:5}|{:3}", 42, "ab", 12345), "   42|ab   |12345");
  EXPECT_EQ(format("{:#x} {:x} {:02x} {:04x}", 0xbeefu, 255, 7, 0x1fu), "0xbeef ff 07 001f");
  EXPECT_EQ(format("{:.3f} {:.0f} {}", 1.5, 2.4, 0.25), "1.500 2 0.25");
}

TEST(format, a_value_may_hold_braces_and_zeros) {
  EXPECT_EQ(format("<{}>", "{}"), "<{}>");
  EXPECT_EQ(format("<{}>", std::string_view("a\0b", 3)), std::string("<a\0b>", 5));
}

TEST(format, appends) {
  std::string text = "x";
  format_to(text, "{}", 1);
  format_to(text, "{}", 2);
  EXPECT_EQ(text, "x12");
}

}  // namespace
}  // namespace stray::base
