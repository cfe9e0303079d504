#include "base/switch_setting.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <string>

namespace stray::base {
namespace {

constexpr const char* name = "STRAY_TEST_SWITCH";

struct answer {
  bool on;
  std::string said;
  bool operator==(const answer&) const = default;
};

answer ask(const char* value, bool usual, bool unclear) {
  value == nullptr ? unsetenv(name) : setenv(name, value, 1);
  testing::internal::CaptureStderr();
  const bool on = switch_setting(name, usual, unclear);
  unsetenv(name);
  return {on, testing::internal::GetCapturedStderr()};
}

TEST(switch_setting, words_for_on_and_off) {
  for (const char* off : {"off", "OFF", "Off", "0", "no", "NO", "false", "False", "none"})
    EXPECT_EQ(ask(off, true, true), (answer{false, ""})) << off;
  for (const char* on : {"on", "ON", "1", "yes", "YES", "true", "True"})
    EXPECT_EQ(ask(on, false, false), (answer{true, ""})) << on;
}

TEST(switch_setting, what_is_neither_is_said) {
  for (const char* text : {"of", "offf", "2", " off", "disabled"}) {
    const std::string said = std::string("stray: STRAY_TEST_SWITCH=") + text + " is neither on nor off; it counts as ";
    EXPECT_EQ(ask(text, true, true), (answer{true, said + "on\n"}));
    EXPECT_EQ(ask(text, true, false), (answer{false, said + "off\n"})) << "what protects is taken";
  }
}

TEST(switch_setting, unset_and_empty) {
  EXPECT_EQ(ask(nullptr, true, false), (answer{true, ""}));
  EXPECT_EQ(ask(nullptr, false, false), (answer{false, ""}));
  EXPECT_EQ(ask("", true, true), (answer{true, ""}));
  EXPECT_EQ(ask("", true, false), (answer{false, "stray: STRAY_TEST_SWITCH= is neither on nor off; it counts as off\n"}));
}

}  // namespace
}  // namespace stray::base
