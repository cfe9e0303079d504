#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "profile/formats.h"
#include "profile/symbolize.h"
#include "profile/unwind.h"

namespace proto_fixture {
std::vector<std::uintptr_t> stack;
}
namespace stray::runtime {
namespace {
[[gnu::always_inline]] inline void inlined_into_park() {
  proto_fixture::stack.resize(32);
  proto_fixture::stack.resize(profile::unwind_here(proto_fixture::stack.data(), 32));
  asm volatile("");
}
}  // namespace
[[gnu::noinline]] void park() {
  inlined_into_park();
  asm volatile("");
}
}  // namespace stray::runtime
namespace proto_app {
[[gnu::always_inline]] inline void inner() {
  stray::runtime::park();
  asm volatile("");
}
[[gnu::noinline]] void outer() {
  inner();
  asm volatile("");
}
}  // namespace proto_app

using namespace stray::profile;
using proto_fixture::stack;

namespace {

std::string gunzip(const std::string& bytes) {
  z_stream z{};
  EXPECT_EQ(inflateInit2(&z, 15 + 16), Z_OK);
  std::string out;
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  int status = Z_OK;
  while (status == Z_OK) {
    char buffer[4096];
    z.next_out = reinterpret_cast<Bytef*>(buffer);
    z.avail_out = sizeof buffer;
    status = inflate(&z, Z_NO_FLUSH);
    out.append(buffer, sizeof buffer - z.avail_out);
  }
  EXPECT_EQ(status, Z_STREAM_END);
  inflateEnd(&z);
  return out;
}

std::string go() {
  for (const char* path : {"/usr/local/go/bin/go"})
    if (access(path, X_OK) == 0) return path;
  return std::system("command -v go > /dev/null 2>&1") == 0 ? "go" : "";
}

// What `go tool pprof` prints for the profile.
std::string pprof(const std::string& flags, const std::string& profile) {
  char path[] = "/tmp/stray-proto-XXXXXX";
  int fd = mkstemp(path);
  EXPECT_GE(fd, 0);
  EXPECT_EQ(write(fd, profile.data(), profile.size()), static_cast<ssize_t>(profile.size()));
  close(fd);
  std::string command = "HOME=${HOME:-/tmp} " + go() + " tool pprof " + flags + " " + path + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  std::string out;
  char buffer[4096];
  for (std::size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
  EXPECT_EQ(pclose(pipe), 0) << out;
  unlink(path);
  return out;
}

std::vector<sample> two_samples() {
  proto_app::outer();
  sample s;
  s.pcs = stack;
  s.count = 3;
  s.bytes = 4096;
  s.labels = {{"route", "/buy"}};
  s.wait_reason = "chan receive";
  s.tier = "proven";
  s.created_by = "main";
  s.called_by = {"spawn", "serve"};
  s.cause = "root leak";
  s.blocked_since = 1700000000;
  std::vector<sample> samples{s, s};
  samples[1].tier = "cycle";
  samples[1].count = 1;
  samples[1].labels.clear();
  samples[1].blocked_since = 0;
  return samples;
}

}  // namespace

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << "no \"" << (part) << "\" in:\n" << (text)
#define EXPECT_HAS_NOT(text, part) EXPECT_EQ((text).find(part), std::string::npos) << "\"" << (part) << "\" in:\n" << (text)

TEST(gzip, round_trip) {
  std::mt19937 random(1);
  for (std::size_t size : {0U, 1U, 100U, 16384U, 300000U}) {
    std::string bytes(size, 'x');
    for (char& c : bytes) c = static_cast<char>(random() % 7);
    std::string packed = gzip(bytes);
    EXPECT_EQ(packed.substr(0, 2), "\x1f\x8b");
    EXPECT_EQ(gunzip(packed), bytes);
  }
}

TEST(proto, read_by_go_tool_pprof) {
  if (go().empty()) GTEST_SKIP() << "no go on this machine";
  auto samples = two_samples();
  std::string raw = pprof("-raw", write_proto("goroutineleak", samples, true));
  EXPECT_TRUE(raw.starts_with("PeriodType: goroutineleak count\nPeriod: 1\nTime: ")) << raw;
  EXPECT_HAS_NOT(raw, "Duration");
  EXPECT_HAS(raw, "goroutineleak/count[dflt] bytes_retained/bytes\n");
  EXPECT_HAS(raw, "          3       4096: 1 2 ");
  EXPECT_HAS(raw, "          1       4096: 1 2 ");
  EXPECT_HAS(
      raw,
      "called_by:[spawn serve] cause:[root leak] created_by:[main] route:[/buy] tier:[proven] wait_reason:[chan receive]\n");
  EXPECT_HAS(raw, "called_by:[spawn serve] cause:[root leak] created_by:[main] tier:[cycle] wait_reason:[chan receive]\n");
  EXPECT_HAS(raw, "blocked_since:[1700000000 seconds]\n");
  // The leaf is park alone, whatever is inlined into it; its address is the return address - 1.
  char leaf[64];
  std::snprintf(leaf, sizeof leaf, "     1: %#lx M=1 stray::runtime::park ", stack[0] - 1);
  EXPECT_HAS(raw, leaf);
  EXPECT_HAS_NOT(raw, "inlined_into_park");
  // The next has two lines, innermost first.
  std::size_t inner = raw.find("     2: "), outer = raw.find("proto_app::outer ");
  ASSERT_NE(inner, std::string::npos);
  ASSERT_NE(outer, std::string::npos);
  EXPECT_NE(raw.substr(inner, outer - inner).find("proto_app::inner "), std::string::npos) << raw;
  EXPECT_HAS(raw, "/proto_test.cpp:");
  EXPECT_HAS(raw, "(_ZN9proto_app5outerEv)");
  EXPECT_HAS(raw, "Mappings\n1: 0x");
  std::string first = raw.substr(raw.find("\n1: 0x"));
  first = first.substr(0, first.find('\n', 1));
  auto maps = mappings();
  EXPECT_HAS(first, maps[0].file);
  EXPECT_HAS(first, maps[0].build_id);
  EXPECT_HAS(first, "[FN][FL][LN][IN]");
  EXPECT_HAS(raw, "libc.so.6");
}

TEST(proto, top_list_tags_and_traces) {
  if (go().empty()) GTEST_SKIP() << "no go on this machine";
  auto samples = two_samples();
  std::string profile = write_proto("goroutineleak", samples, true);
  std::string top = pprof("-top", profile);
  EXPECT_HAS(top, "Type: goroutineleak\n");
  EXPECT_HAS(top, "         4   100%   100%          4   100%  stray::runtime::park\n");
  EXPECT_HAS(top, "proto_app::inner (inline)\n");
  EXPECT_HAS(pprof("-list=proto_app::outer", profile), "inner();");
  EXPECT_HAS(pprof("-tags", profile), "3 (75.00%): proven\n");
  EXPECT_HAS(pprof("-traces", profile), "stray::runtime::park\n");
  EXPECT_HAS(pprof("-top -sample_index=bytes_retained", profile), "8kB   100%");
}

TEST(proto, goroutine_profile_has_one_type_and_user_labels_only) {
  if (go().empty()) GTEST_SKIP() << "no go on this machine";
  auto samples = two_samples();
  std::string raw = pprof("-raw", write_proto("goroutine", samples, false, 2'000'000'000));
  EXPECT_HAS(raw, "PeriodType: goroutine count\n");
  EXPECT_HAS(raw, "Duration: 2s\n");
  EXPECT_HAS(raw, "\ngoroutine/count\n          3: 1 2 ");
  EXPECT_HAS(raw, "route:[/buy]\n");
  EXPECT_HAS_NOT(raw, "tier:");
  EXPECT_HAS_NOT(raw, "bytes_retained");
}

TEST(proto, an_incomplete_profile_says_so_in_its_comments) {
  if (go().empty()) GTEST_SKIP() << "no go on this machine";
  const std::vector<std::string> reasons{"clone was refused (EPERM)", "2 candidates not decided"};
  for (auto samples : {two_samples(), std::vector<sample>()}) {
    std::string profile = write_proto("goroutineleak", samples, true, 0, reasons);
    EXPECT_HAS(pprof("-top", profile), "incomplete: clone was refused (EPERM)\nincomplete: 2 candidates not decided\n");
    EXPECT_HAS(pprof("-comments", profile), "incomplete: clone was refused (EPERM)\n");
  }
  const std::vector<std::string> likely{"3, not proven: a doubt"};
  EXPECT_HAS(pprof("-top", write_proto("goroutineleak", {}, true, 0, {}, likely)), "likely: 3, not proven: a doubt\n");
  EXPECT_HAS(pprof("-raw", write_counts("goroutineleak", two_samples(), {}, likely)), "goroutineleak/count\n          3: 1 2 ");
  // pprof's reader of the old text format skips the lines.
  EXPECT_HAS(pprof("-raw", write_counts("goroutineleak", two_samples(), reasons)), "goroutineleak/count\n          3: 1 2 ");
}

TEST(proto, empty_is_valid) {
  if (go().empty()) GTEST_SKIP() << "no go on this machine";
  EXPECT_HAS(pprof("-raw", write_proto("goroutineleak", {}, true)),
             "Samples:\ngoroutineleak/count[dflt] bytes_retained/bytes\nLocations\nMappings\n1: 0x");
}
