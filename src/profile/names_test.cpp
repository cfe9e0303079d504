#include "profile/names.h"

#include <chrono>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>

#include "profile/expansion.h"
#include "profile/symbolize.h"

using namespace stray::profile;

TEST(names, return_types_parameters_and_suffixes_go) {
  struct {
    const char *demangled, *name;
  } cases[] = {
      {"main", "main"},
      {"user(stray::chan<int>)", "user"},
      {"bool stray::recv<int>(stray::chan<int>&) [clone .isra.0]", "stray::recv<int>"},
      {"std::vector<int, std::allocator<int> > const& app::f<int>(int)", "app::f<int>"},
      {"unsigned long app::g<(app::kind)1>(unsigned long)", "app::g<(app::kind)1>"},
      {"create_leaked()::{lambda()#1}::operator()() const", "create_leaked()::{lambda()#1}::operator()"},
      {"auto f<int>(int)::{lambda(int, char)#2}::operator()(int, char) const",
       "f<int>(int)::{lambda(int, char)#2}::operator()"},
      {"app::t::m() const::{lambda()#1}::operator()() const", "app::t::m() const::{lambda()#1}::operator()"},
      {"(anonymous namespace)::f(int)", "(anonymous namespace)::f"},
      {"void (anonymous namespace)::f<int>(int)", "(anonymous namespace)::f<int>"},
      {"app::operator<<(std::ostream&, app::x const&)", "app::operator<<"},
      {"bool app::operator< <int>(app::x<int> const&, app::x<int> const&)", "app::operator< <int>"},
      {"app::x::operator->() const", "app::x::operator->"},
      {"app::x::operator bool() const", "app::x::operator bool"},
      {"app::x::operator unsigned long() const", "app::x::operator unsigned long"},
      {"app::x::operator new(unsigned long)", "app::x::operator new"},
      {"std::function<void (int)>::operator()(int) const", "std::function<void (int)>::operator()"},
      {"void (*app::handler<int>(int))(char)", "app::handler<int>"},
      {"decltype (((forward<int>)({parm#1}))->go()) app::call<int>(int&&)", "app::call<int>"},
      {"app::f[abi:cxx11](int)", "app::f[abi:cxx11]"},
      {"app::x::~x()", "app::x::~x"},
      {"libfoo.so+0x1234", "libfoo.so+0x1234"},
      {"", ""},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(function_name(c.demangled), c.name) << c.demangled;
    EXPECT_EQ(function_name(c.name), c.name) << "not idempotent: " << c.name;
  }
}

TEST(names, nonsense_is_cut_without_harm) {
  for (const char* text :
       {"(", ")", "<", ">", "operator", "operator()", "a(((", ")))b", "a b c", "::", " ", "operator<", "->", "x [clone"}) {
    function_name(text);
    without_template_arguments(text);
    short_name(text);
  }
}

TEST(names, template_arguments_go) {
  EXPECT_EQ(without_template_arguments("std::function<void (int)>::operator()"), "std::function::operator()");
  EXPECT_EQ(without_template_arguments("std::thread::_Invoker<std::tuple<a<b> > >::_M_invoke<0>"),
            "std::thread::_Invoker::_M_invoke");
  EXPECT_EQ(without_template_arguments("a::operator<"), "a::operator<");
  EXPECT_EQ(without_template_arguments("a::operator-><int>"), "a::operator->");
}

TEST(names, constraints_that_nobody_can_read_are_left_out) {
  const struct {
    const char *symbol, *name;
  } cases[] = {
      {"_ZN5stray10wait_group2goIQ9invocableI1fEEvv", "stray::wait_group::go<...>"},
      {"_ZZN5stray10wait_group2goIQ9invocableI1fEEvvENKUlvE_clEv", "stray::wait_group::go<...>::{...}"},
      {"_ZN5stray6detail9run_smallIZN4shop11constrainedIiQ8integralIT_EEEvS2_EUlvE_EEvPv",
       "stray::detail::run_small<shop::constrained<...>::{...}>"},
      {"_ZNK3app12_GLOBAL__N_14pool3runIQ1cI1fEEvv", "app::(anonymous namespace)::pool::run<...>"},
      {"_Z6run_itIQ1cI1fEEvv", "run_it<...>"},
      {"_ZNSt6vectorIQ1cI1fEEvv", "std::vector<...>"},
      {"_Z", "_Z"},
      {"_Z99f", "_Z99f"},
      {"_ZQ", "_ZQ"},
      {"plain", "plain"},
  };
  for (const auto& c : cases) EXPECT_EQ(demangle(c.symbol), c.name) << c.symbol;
  EXPECT_EQ(first_callable(demangle(cases[2].symbol)), "shop::constrained<...>::{...}");
}

TEST(names, what_our_code_runs_is_in_its_name) {
  const struct {
    const char *name, *callable;
  } cases[] = {
      {"stray::detail::run_small<main::{lambda()#1}>", "main::{lambda()#1}"},
      {"stray::detail::run_large<app::f<int>(int)::{lambda(int, char)#2}>", "app::f<int>(int)::{lambda(int, char)#2}"},
      {"stray::detail::run_small<stray::wait_group::go<stray::error_group::start<app::f()::{lambda()#1}>(app::f()::{lambda()#1}"
       "&&)::"
       "{lambda()#1}>(app::f()::{lambda()#1}&&)::{lambda()#1}>",
       "app::f()::{lambda()#1}"},
      {"std::_Function_handler<void (), app::f()::{lambda()#1}>::_M_invoke", "app::f()::{lambda()#1}"},
      {"stray::detail::run_small<stray::detail::bound<app::functor, int> >", "app::functor"},
      {"stray::detail::run_small<stray::detail::bound<void (*)(int), int> >", ""},
      {"stray::detail::run_small<std::function<void ()> >", ""},
      {"stray::detail::run_small<main::$_0>", "main::$_0"},
      {"stray::detail::run_small<stray::wait_group::go<app::f(stray::wait_group&)::$_0>(app::f(stray::wait_group&)::$_0&&)::{"
       "lambda()#1}>",
       "app::f(stray::wait_group&)::$_0"},
      {"stray::detail::run_small<app::f<int&>", ""},
      {"stray::detail::recv_value<unsigned long>", ""},
      {"main", ""},
      {"a<", ""},
  };
  for (const auto& c : cases) EXPECT_EQ(first_callable(c.name), c.callable) << c.name;
}

TEST(names, short_ones_fit_a_line) {
  const struct {
    const char *name, *short_one;
  } cases[] = {
      {"a::f<int>(long)::{lambda(int)#1}::operator()", "a::f<...>::{lambda#1}::operator()"},
      {"std::map<int, std::vector<a<b>>>::find", "std::map<...>::find"},
      {"a::g<>", "a::g<>"},
      {"a::f() const::{lambda()#2}::operator()<int>", "a::f::{lambda#2}::operator()<...>"},
      {"(anonymous namespace)::pool<(anonymous namespace)::job>::run", "(anonymous namespace)::pool<...>::run"},
      {"a::operator<< <char>", "a::operator<< <char>"},
      {"a::operator<", "a::operator<"},
      {"a::f<&b::operator< >::g", "a::f<...>::g"},
      {"app::f[abi:cxx11]", "app::f"},
      {"main", "main"},
      {"a::f<int", "a::f<int"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(short_name(c.name), c.short_one);
    EXPECT_EQ(short_name(c.short_one), c.short_one) << "not idempotent";
  }
}

TEST(names, runtime_is_decided_by_the_function_alone) {
  auto runtime = [](std::string demangled) {
    source_line line;
    line.function = std::move(demangled);
    return is_runtime(line);
  };
  EXPECT_TRUE(runtime("stray::runtime::park"));
  EXPECT_TRUE(runtime("void stray::go<main::{lambda()#1}>(main::{lambda()#1}&&)"));
  EXPECT_TRUE(runtime("stray::go<main::{lambda()#1}>(main::{lambda()#1}&&)::{lambda()#1}::operator()"));
  EXPECT_TRUE(runtime("auto stray::f<int>(int)::{lambda()#1}::operator()() const"));
  EXPECT_FALSE(runtime("user(stray::chan<int>)"));
  EXPECT_FALSE(runtime("stray::chan<int> user()"));
  EXPECT_FALSE(runtime("user<stray::chan<int> >"));
  EXPECT_FALSE(runtime("stray::chan<int> user<int>(stray::chan<int>)"));
  EXPECT_FALSE(runtime("stray_dog::bark"));
  EXPECT_FALSE(runtime("app::stray::f"));
}

TEST(names, a_bare_name_is_ours_by_its_file) {
  auto runtime = [](const char* function, const char* file) {
    source_line line;
    line.function = function;
    line.file = file;
    return is_runtime(line);
  };
  EXPECT_TRUE(runtime("operator()", "/usr/include/stray/wait_group.hpp"));
  EXPECT_TRUE(runtime("recv_value<app::t>", "/src/stray/include/stray/chan.hpp"));
  EXPECT_TRUE(runtime("call_handler<f>", "/usr/include/stray/detail/chan_ops.hpp"));
  EXPECT_FALSE(runtime("operator()", "/src/stray/main.cpp"));
  EXPECT_FALSE(runtime("operator()", "/src/app/chan.hpp"));
  EXPECT_FALSE(runtime("app::f", "/usr/include/stray/chan.hpp")) << "a whole name decides alone";
}

TEST(names, invoke_helpers) {
  auto helper = [](std::string demangled) {
    source_line line{.function = std::move(demangled), .system_name = "x", .file = {}};
    return is_invoke_helper(line);
  };
  EXPECT_TRUE(helper("std::invoke<f&>"));
  EXPECT_TRUE(helper("std::__invoke_impl<void, f&>"));
  EXPECT_TRUE(helper("std::__apply_impl<f, std::tuple<int>, 0ul>"));
  EXPECT_TRUE(helper("std::function<void ()>::operator()"));
  EXPECT_TRUE(helper("std::_Function_handler<void (), f>::_M_invoke"));
  EXPECT_TRUE(helper("std::thread::_State_impl<std::thread::_Invoker<std::tuple<f> > >::_M_run"));
  EXPECT_TRUE(helper("std::__1::__invoke<f>"));
  EXPECT_TRUE(helper("start_thread"));
  EXPECT_FALSE(helper("std::sort<int*>"));
  auto bare = [](const char* function, const char* file) {
    return is_invoke_helper({.function = function, .system_name = "x", .file = file});
  };
  EXPECT_TRUE(bare("__invoke_impl<void, f&>", "/usr/include/c++/12/bits/invoke.h"));
  EXPECT_TRUE(bare("operator()", "/usr/include/c++/12/bits/std_function.h"));
  EXPECT_FALSE(bare("apply", "/src/app/main.cpp"));
  EXPECT_FALSE(bare("operator()", "/src/app/main.cpp"));
  EXPECT_FALSE(helper("app::invoke"));
  EXPECT_FALSE(helper("std::vector<int>::push_back"));
}

TEST(names, every_public_header_is_known_as_ours) {
  namespace fs = std::filesystem;
  const fs::path include = fs::path(__FILE__).parent_path() / "../../include/stray";
  std::size_t headers = 0;
  for (const auto& entry : fs::recursive_directory_iterator(include)) {
    if (entry.path().extension() != ".hpp") continue;
    headers++;
    source_line line;
    line.function = "operator()";
    line.file = "/usr/include/stray/" + entry.path().lexically_relative(include).string();
    EXPECT_TRUE(is_runtime(line)) << line.file << " is missing in shown_lines.cpp";
  }
  EXPECT_GE(headers, 29u);
}

namespace {

// A function of pair<pair<...>, pair<...>>, so many deep.
std::string symbol_of_pairs(int depth) {
  std::string text = "_Z1fISt4pair";
  for (int i = 1; i < depth; i++) text += "IS0_";
  text += "IiiE";
  for (int i = 1; i < depth; i++) text += i < 36 ? std::string("S") + "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i] + "_E" : "iE";
  return text + "EvvT_";
}

double seconds_of(const std::function<void()>& f) {
  auto begin = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

TEST(names, no_symbol_becomes_longer_than_its_bound) {
  std::vector<std::string> symbols = {"_Z",
                                      "_ZT",
                                      "_ZTh",
                                      "_ZL1fv",
                                      "_ZN1aC1Ev",
                                      "_ZN1aD0Ev",
                                      "_ZThn16_N1a1fEv",
                                      "_ZN3appaSERKS_",
                                      "_ZN3appplERKS_S1_",
                                      "_ZSt4endlIcSt11char_traitsIcEERSt13basic_ostreamIT_T0_ES6_",
                                      "_ZZ4mainENKUlvE0_clEv",
                                      "_ZZZ1fvEN1a1gEvE1s_0",
                                      "_Z1fIJidcEEvDpRKSt6vectorIT_SaIS1_EE",
                                      "_Z1gIXsrSt7is_sameIiiE5valueEEvv",
                                      "_Z1hILin5EEvRA3_cPFivE",
                                      "_ZNSt8_Rb_treeISsSt4pairIKSsiESt10_Select1stIS2_ESt4lessISsESaIS2_EE5eraseERS1_",
                                      "_Z1kILN3app4kindE1EEvv"};
  for (int depth : {1, 2, 5, 10, 14}) symbols.push_back(symbol_of_pairs(depth));
  for (const std::string& symbol : symbols) EXPECT_GE(expansion_bound(symbol), demangle(symbol.c_str()).size()) << symbol;
  EXPECT_GT(demangle(symbol_of_pairs(10).c_str()).size(), 10'000u) << "still read in whole";
  EXPECT_LT(expansion_bound("_ZNSt6vectorIN3app5orderESaIS1_EE12emplace_backIJS1_EEERS1_DpOT_"), 10'000u)
      << "and this is ordinary";
}

TEST(names, exponential_ones_are_read_in_part) {
  for (int depth : {20, 30, 36}) {
    std::string name;
    EXPECT_LT(seconds_of([&] { name = demangle(symbol_of_pairs(depth).c_str()); }), 0.1);
    EXPECT_TRUE(name.starts_with("f<std::pair")) << name.substr(0, 100);
    EXPECT_LT(name.size(), 100u);
  }
}

TEST(names, what_is_shown_is_limited) {
  EXPECT_EQ(limited("app::f<int>"), "app::f<int>");
  std::string name = limited("app::f<" + std::string(100'000, 'x') + ">::g");
  EXPECT_EQ(name.size(), 4096u);
  EXPECT_TRUE(name.starts_with("app::f<x") && name.ends_with("x>::g")) << name;
  EXPECT_NE(name.find("x...x"), name.npos);
}

TEST(names, cuts_are_linear) {
  for (const char* piece : {"f(a)", "a ", "f() const", "<(", "f<a>", "(*", "operator<"}) {
    std::string text;
    while (text.size() < 400'000) text += piece;
    EXPECT_LT(seconds_of([&] { short_name(text); }), 0.2) << piece;
    EXPECT_LT(seconds_of([&] { function_name(text); }), 0.2) << piece;
    EXPECT_LT(seconds_of([&] { without_template_arguments(text); }), 0.2) << piece;
  }
}
