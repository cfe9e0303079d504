#include "profile/symbolize.h"

#include <chrono>
#include <cstdio>
#include <dlfcn.h>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>

#include "profile/unwind.h"

using stray::profile::mapping;
using stray::profile::source_line;

namespace {
std::vector<std::uintptr_t> stack;
}
namespace stray::runtime {
[[gnu::noinline]] void park(int) {
  stack.resize(64);
  stack.resize(profile::unwind_here(stack.data(), stack.size()));
  asm volatile("");
}
}  // namespace stray::runtime
namespace stray {
template <class T>
struct chan {
  [[gnu::always_inline]] bool recv(T&) {
    runtime::park(1);
    asm volatile("");
    return true;
  }
};
template <class F>
[[gnu::noinline]] void enter(F&& f) {
  std::invoke(f);
  asm volatile("");
}
}  // namespace stray

namespace app {
int line_of_recv, line_of_call;
[[gnu::noinline]] void worker(stray::chan<int> c) {
  int v = 0;
  line_of_recv = __LINE__ + 1;
  c.recv(v);
  asm volatile("");
}
[[gnu::always_inline]] inline void inlined(stray::chan<int> c) {
  line_of_call = __LINE__ + 1;
  worker(c);
  asm volatile("");
}
int line_of_lambda;
[[gnu::noinline]] void create() {
  line_of_lambda = __LINE__ + 1;
  stray::enter([] {
    inlined({});
    asm volatile("");
  });
  asm volatile("");
}
}  // namespace app

using namespace stray::profile;

namespace {
// clang numbers the lambdas of functions that are not inline as $_0.
std::string plain(std::string name) {
  if (std::size_t at = name.find("$_0"); at != std::string::npos) name.replace(at, 3, "{lambda()#1}");
  return name;
}
bool ends_with(const std::string& text, const char* end) { return text.ends_with(end); }
const char* this_file = "src/profile/symbolize_test.cpp";
}  // namespace

TEST(symbolize, own_functions_with_inlined_ones) {
  app::create();
  ASSERT_GE(stack.size(), 4U);
  const auto& park = symbolize(stack[0] - 1);
  EXPECT_EQ(park.back().function, "stray::runtime::park");
  EXPECT_EQ(park.back().system_name, "_ZN5stray7runtime4parkEi");

  std::vector<source_line> lines;  // all lines from the channel operation on
  for (std::size_t i = 1; i < stack.size(); ++i)
    for (const auto& l : symbolize(stack[i] - 1)) lines.push_back(l);
  ASSERT_GE(lines.size(), 4U);
  EXPECT_EQ(lines[0].function, "stray::chan<int>::recv");
  EXPECT_EQ(lines[1].function, "app::worker");
  EXPECT_EQ(lines[1].line, app::line_of_recv);
  EXPECT_TRUE(ends_with(lines[1].file, this_file)) << lines[1].file;
  EXPECT_TRUE(lines[1].file.starts_with("/")) << lines[1].file;
  EXPECT_EQ(lines[1].start_line, app::line_of_recv - 3);
  EXPECT_GT(lines[1].offset, 0U);
  EXPECT_EQ(lines[0].offset, lines[1].offset) << "both count from the physical function";
  EXPECT_EQ(lines[2].function, "app::inlined");
  EXPECT_EQ(lines[2].line, app::line_of_call);
  EXPECT_EQ(plain(lines[3].function), "app::create()::{lambda()#1}::operator()");
  EXPECT_TRUE(lines[3].start_line == app::line_of_lambda) << lines[3].start_line;
}

TEST(symbolize, shown_lines_are_cut_by_line) {
  std::thread(app::create).join();  // the thread's own start is cut, too
  std::vector<std::string> names;
  for (const auto& s : shown_lines(stack)) names.push_back(s.line->function);
  ASSERT_GE(names.size(), 4U);
  EXPECT_EQ(names.front(), "app::worker");
  EXPECT_EQ(names[1], "app::inlined");
  EXPECT_EQ(plain(names[2]), "app::create()::{lambda()#1}::operator()");
  EXPECT_EQ(names.back(), "app::create");
}

TEST(symbolize, shows_all_when_nothing_would_remain) {
  if (stack.empty()) app::create();
  auto shown = shown_lines({stack[0]});
  ASSERT_FALSE(shown.empty());
  EXPECT_EQ(shown.back().line->function, "stray::runtime::park");
  EXPECT_TRUE(shown_lines({}).empty());
}

TEST(symbolize, an_address_is_learnt_once) {
  const auto pc = reinterpret_cast<std::uintptr_t>(&time_spent_learning_ns) + 1;
  const std::int64_t before = time_spent_learning_ns();
  symbolize(pc);
  const std::int64_t learnt = time_spent_learning_ns();
  EXPECT_GT(learnt, before);
  symbolize(pc);
  physical_line(pc + 1);
  EXPECT_EQ(time_spent_learning_ns(), learnt);
}

TEST(symbolize, answers_are_never_empty) {
  if (stack.empty()) app::create();
  for (std::uintptr_t pc :
       {std::uintptr_t{0}, std::uintptr_t{1}, ~std::uintptr_t{0}, reinterpret_cast<std::uintptr_t>(&stack)}) {
    const auto& lines = symbolize(pc);
    ASSERT_FALSE(lines.empty());
    EXPECT_FALSE(lines[0].function.empty());
  }
  EXPECT_EQ(&symbolize(stack[1] - 1), &symbolize(stack[1] - 1)) << "cached";
}

TEST(symbolize, shared_library_by_symbol_or_module) {
  void* handle = dlopen("libresolv.so.2", RTLD_NOW);
  if (handle == nullptr) GTEST_SKIP() << dlerror();
  void* function = dlsym(handle, "ns_name_ntop");
  ASSERT_NE(function, nullptr);
  auto pc = reinterpret_cast<std::uintptr_t>(function) + 4;
  const source_line line = symbolize(pc).back();
  EXPECT_NE(line.function.find("ns_name_ntop"), std::string::npos) << line.function;
  EXPECT_EQ(line.offset, 4U);
  dlclose(handle);
  EXPECT_FALSE(symbolize(pc).empty());  // whatever lies there now
}

TEST(symbolize, what_is_mapped_where_no_code_is_has_no_module) {
  constexpr std::size_t size = 1 << 16;
  void* shared = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  std::FILE* program = std::fopen("/proc/self/exe", "r");
  ASSERT_NE(program, nullptr);
  void* file = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fileno(program), 0);
  ASSERT_NE(file, MAP_FAILED);
  std::fclose(program);
  void* handle = dlopen("libresolv.so.2", RTLD_NOW);  // so that the map is read anew
  if (handle == nullptr) GTEST_SKIP() << dlerror();
  for (void* at : {shared, file}) {
    const source_line line = symbolize(reinterpret_cast<std::uintptr_t>(at) + 0x10b).back();
    EXPECT_TRUE(line.function.starts_with("unknown+")) << line.function;
    munmap(at, size);
  }
  dlclose(handle);
}

TEST(symbolize, an_address_without_symbol_has_its_module) {
  static char here;  // .bss, which is no mapping of the file
  std::string text = module_offset(reinterpret_cast<std::uintptr_t>(&here));
  EXPECT_TRUE(text.starts_with("unit_profile+0x")) << text;
  text = module_offset(reinterpret_cast<std::uintptr_t>(stdout));
  EXPECT_TRUE(text.starts_with("libc.so.6+0x")) << text;
  int local = 0;
  EXPECT_EQ(module_offset(reinterpret_cast<std::uintptr_t>(&local)), "");
}

TEST(symbolize, mappings_start_with_the_program) {
  auto maps = mappings();
  ASSERT_GE(maps.size(), 2U);
  auto here = reinterpret_cast<std::uintptr_t>(&app::create);
  EXPECT_LE(maps[0].start, here);
  EXPECT_GT(maps[0].limit, here);
  EXPECT_NE(maps[0].file.find("unit_"), std::string::npos);
  bool libc = false;
  for (const mapping& m : maps) {
    EXPECT_LT(m.start, m.limit);
    EXPECT_FALSE(m.file.empty());
    libc |= m.file.find("libc.so") != std::string::npos && m.build_id.size() == 40;
  }
  EXPECT_TRUE(libc);
}

TEST(symbolize, speed) {
  using clock = std::chrono::steady_clock;
  auto base = reinterpret_cast<std::uintptr_t>(&app::create);
  auto seconds = [](clock::duration d) { return std::chrono::duration<double>(d).count(); };
  symbolize(base + 1);  // the module's index is made once
  auto t0 = clock::now();
  for (std::uintptr_t i = 0; i < 1000; ++i) symbolize(base - 500 + i);
  auto t1 = clock::now();
  for (int round = 0; round < 100; ++round)
    for (std::uintptr_t i = 0; i < 1000; ++i) symbolize(base - 500 + i);
  auto t2 = clock::now();
  std::printf("symbolize: %.2f us a new pc, %.0f ns a known one\n", seconds(t1 - t0) * 1e3, seconds(t2 - t1) * 1e4);
}
