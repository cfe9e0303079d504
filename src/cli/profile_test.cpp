#include "cli/profile.h"

#include <chrono>
#include <gtest/gtest.h>
#include <stdexcept>
#include <zlib.h>

#include "cli/profile_case.h"
#include "cli/sites.h"

namespace stray::cli {
namespace {

// Why it is refused; empty: it is not.
std::string refusal(std::string_view bytes) {
  try {
    read_profile(bytes, "t");
    return {};
  } catch (const std::runtime_error& e) {
    return e.what();
  }
}

std::string gzip(const std::string& bytes) {
  std::string out(compressBound(bytes.size()) + 64, '\0');
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

}  // namespace

TEST(cli_profile, is_read) {
  profile_case p;
  p.function(1, "app::f", "/app/f.cpp");
  p.sample({1}, 3, 4096, {{p.string("route"), p.string("/buy")}, {p.string("tier"), p.string("proven")}});
  for (const std::string& bytes : {p.bytes(), gzip(p.bytes())}) {
    profile read = read_profile(bytes, "t");
    ASSERT_EQ(read.leaks.size(), 1u);
    const leak& l = read.leaks[0];
    EXPECT_EQ(l.count, 3);
    EXPECT_EQ(l.bytes, 4096);
    EXPECT_EQ(l.tier, "proven");
    EXPECT_EQ(l.stack, (std::vector<frame>{{"app::f", "/app/f.cpp", 17}}));
    ASSERT_EQ(l.labels.size(), 1u);
    EXPECT_EQ(l.labels[0].second, "/buy");
  }
}

TEST(cli_profile, what_multiplies_is_limited) {
  profile_case wide;  // one location, many lines; many samples that name it
  wide.function(1, "f", "f.cpp", 1000);
  for (int i = 0; i < 1001; i++) wide.sample({1}, 1);
  EXPECT_EQ(refusal(wide.bytes()), "it has more than 1000000 frames and labels in all");
  profile_case deep;
  deep.function(1, "f", "f.cpp", 1025);
  deep.sample({1}, 1);
  EXPECT_EQ(refusal(deep.bytes()), "it has more than 1024 frames in one stack");
  profile_case text;  // one name, many frames
  text.function(1, std::string(1'000'000, 'x'), "f.cpp", 200);
  text.sample({1}, 1);
  EXPECT_EQ(refusal(text.bytes()), "its names and labels are more than 128 MB in all");
  profile_case many;
  for (int i = 0; i < 200'001; i++) many.top().add_string(2, "");
  EXPECT_EQ(refusal(many.bytes()), "it has more than 200000 samples");
  profile_case empty;
  for (int i = 0; i < 1'000'001; i++) empty.top().add_string(6, "");
  EXPECT_EQ(refusal(empty.bytes()), "it has more than 1000000 strings, samples, functions and lines");
}

TEST(cli_profile, what_unpacks_to_more_than_64_mb_is_refused) {
  std::string bomb = gzip(std::string(most_bytes + 1, '\0'));
  EXPECT_LT(bomb.size(), 100'000u);
  EXPECT_EQ(refusal(bomb), "it is larger than 64 MB when unpacked");
  EXPECT_EQ(refusal(gzip(std::string(100'000, '\0')).substr(0, 60)), "it is cut short, or not gzip to its end");
}

TEST(cli_profile, counts_are_numbers_that_can_be_added) {
  constexpr std::int64_t most = std::int64_t{1} << 53;
  for (std::int64_t wrong : {std::int64_t{-1}, most + 1, INT64_MAX, INT64_MIN}) {
    for (bool of_bytes : {false, true}) {
      profile_case p;
      p.function(1, "f", "f.cpp");
      p.sample({1}, of_bytes ? 1 : wrong, of_bytes ? wrong : 0);
      EXPECT_EQ(refusal(p.bytes()),
                "it has a " + std::string(of_bytes ? "number of bytes" : "count") + " of " + std::to_string(wrong));
    }
  }
  profile_case p;
  p.function(1, "f", "f.cpp");
  for (int i = 0; i < 1100; i++) p.sample({1}, most, most);
  std::vector<profile> read;
  read.push_back(read_profile(p.bytes(), "t"));
  std::vector<site> sites = rank(read, {}, order::count);
  ASSERT_EQ(sites.size(), 1u);
  EXPECT_EQ(sites[0].count, INT64_MAX);
  EXPECT_EQ(sites[0].bytes, INT64_MAX);
  EXPECT_EQ(sum(INT64_MAX, INT64_MAX), INT64_MAX);
  EXPECT_EQ(sum(2, 3), 5);
}

// protozero asserts where a field is read as what it is not: no type of a field may lead there.
TEST(cli_profile, fields_of_another_type_are_passed_over) {
  for (std::uint32_t field = 1; field <= 14; field++) {
    profile_case p;
    p.function(1, "f", "f.cpp");
    p.top().add_fixed32(field, 1);
    p.top().add_fixed64(field, 1);
    if (field != 9 && field != 13) p.top().add_uint64(field, 1);
    for (std::uint32_t outer : {1, 2, 3, 4, 5}) {
      protozero::pbf_writer m(p.top(), outer);
      m.add_fixed32(field, 1);
      m.add_fixed64(field, 1);
    }
    p.sample({1}, 3);
    EXPECT_EQ(refusal(p.bytes()), "") << field;
    p.top().add_string(field, "\xff\xff\xff");
    refusal(p.bytes());
  }
}

}  // namespace stray::cli
