// What others have written, in each of the tool's outputs.
#include "cli/print.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cli/profile_case.h"

namespace stray::cli {
namespace {

const std::string evil = "f\x1b]52;c;eA==\a\x1b[2J\r\nforged\x7f\xc2\x9b\xe2\x80\xae\xff";

std::vector<profile> evil_profile() {
  profile_case p;
  p.function(1, evil, "/a b/%" + evil);
  std::int64_t text = p.string(evil);
  p.sample({1}, 2, 0,
           {{p.string("wait_reason"), text},
            {p.string("tier"), text},
            {p.string("cause"), text},
            {p.string("created_by"), text},
            {p.string("called_by"), text},
            {p.string("called_by"), p.string("serve")},
            {text, text},
            {p.string("tenant"), p.string("a why=b")}});
  std::vector<profile> out;
  out.push_back(read_profile(p.bytes(), evil));
  return out;
}

void expect_text(const std::string& text) {
  for (char c : text) EXPECT_TRUE((c >= 0x20 && c < 0x7f) || c == '\n') << static_cast<int>(c) << " in " << text;
  EXPECT_EQ(text.find("\nforged"), text.npos) << text;
}

}  // namespace

TEST(cli_print, nothing_of_others_reaches_the_terminal) {
  std::vector<profile> profiles = evil_profile();
  std::vector<site> sites = rank(profiles, {}, order::count);
  ASSERT_EQ(sites.size(), 1u);
  style s;
  s.growth = true;
  s.targets = 2;
  for (const std::string& text :
       {table(sites, 9, s), details(sites[0], s), one_line(sites[0], s), json(sites, profiles, s), sarif(sites, "1")})
    expect_text(text);
  EXPECT_NE(details(sites[0], s).find(R"(tenant="a why=b")"), std::string::npos) << details(sites[0], s);
}

TEST(cli_print, json_has_what_was_read) {
  std::vector<profile> profiles = evil_profile();
  std::vector<site> sites = rank(profiles, {}, order::count);
  auto read = nlohmann::json::parse(json(sites, profiles, {}));
  EXPECT_EQ(read["sites"][0]["leaks"][0]["called_by"][1], "serve");
  EXPECT_EQ(read["sites"][0]["reason"], evil.substr(0, evil.size() - 1) + "\xef\xbf\xbd") << "what is no UTF-8 is replaced";
}

TEST(cli_print, sarif_has_uris) {
  std::vector<profile> profiles = evil_profile();
  auto read = nlohmann::json::parse(sarif(rank(profiles, {}, order::count), "1"));
  std::string uri = read["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
  EXPECT_EQ(uri, "file:///a%20b/%25f%1B%5D52%3Bc%3BeA%3D%3D%07%1B%5B2J%0D%0Aforged%7F%C2%9B%E2%80%AE%FF");
  profile_case p;
  p.function(1, "f", "C:src/h\xc3\xa9-1_2.~x.cpp");
  p.sample({1}, 1);
  profiles.clear();
  profiles.push_back(read_profile(p.bytes(), "t"));
  read = nlohmann::json::parse(sarif(rank(profiles, {}, order::count), "1"));
  EXPECT_EQ(read["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            "C%3Asrc/h%C3%A9-1_2.~x.cpp");
}

TEST(cli_print, ages_of_clocks_that_disagree) {
  EXPECT_EQ(age_text(0, 100), "-");
  EXPECT_EQ(age_text(200, 100), "0 s");
  EXPECT_EQ(age_text(1, (std::int64_t{1} << 53)), "104249991374 d");
}

}  // namespace stray::cli
