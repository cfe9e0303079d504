// Which lines of a stack a person should see.
//
// 1. By line, not by location: at -O2 stray's recv is an inlined line of the user's own location.
// 2. Ours are never shown, wherever they stand, nor how they call what they were given (invoke helpers beneath them). A stack of nothing else
//    is shown whole, as Go does.
// 3. Where limited debug information (-g1, -gline-tables-only) gives inlined functions a bare name, the file tells whose they are.
// 4. Where there is none, what the user gave to `go` may be inlined into our code that runs it, and is then named by that one's symbol:
//    `stray::detail::run_small<main::{lambda()#1}>`.
#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>

#include "profile/names.h"
#include "profile/symbolize.h"

namespace stray::profile {

namespace {

// A name with scopes, or the symbol of something at global scope.
bool is_qualified(std::string_view name) { return without_template_arguments(name).find("::") != std::string::npos; }

bool is_our_header(std::string_view file) {
  static constexpr std::array<std::string_view, 31> headers = {"barrier.hpp",
                                                               "chan.hpp",
                                                               "condition_variable.hpp",
                                                               "context.hpp",
                                                               "error_group.hpp",
                                                               "go.hpp",
                                                               "latch.hpp",
                                                               "leak.hpp",
                                                               "mutex.hpp",
                                                               "once.hpp",
                                                               "panic.hpp",
                                                               "pprof.hpp",
                                                               "select.hpp",
                                                               "semaphore.hpp",
                                                               "shared_mutex.hpp",
                                                               "stray.hpp",
                                                               "time.hpp",
                                                               "version.hpp",
                                                               "wait_group.hpp",
                                                               "detail/at_end.hpp",
                                                               "detail/chan_ops.hpp",
                                                               "detail/duration.hpp",
                                                               "detail/element.hpp",
                                                               "detail/exceptions.hpp",
                                                               "detail/handle.hpp",
                                                               "detail/keep_frame.hpp",
                                                               "detail/library_mode.hpp",
                                                               "detail/own_record.hpp",
                                                               "detail/wait_id.hpp",
                                                               "testing/control.hpp",
                                                               "testing/gtest.hpp"};
  std::size_t at = file.rfind("/stray/");
  return at != std::string_view::npos && std::find(headers.begin(), headers.end(), file.substr(at + 7)) != headers.end();
}

}  // namespace

bool is_runtime(const source_line& line) {
  if (function_name(line.function).starts_with("stray::")) return true;
  return !is_qualified(line.function) && is_our_header(line.file);
}

bool is_invoke_helper(const source_line& line) {
  // How a thread begins, in C.
  static constexpr std::array<std::string_view, 14> starts = {"clone",
                                                              "clone3",
                                                              "__clone",
                                                              "__clone3",
                                                              "__GI___clone3",
                                                              "start_thread",
                                                              "execute_native_thread_routine",
                                                              "_start",
                                                              "__libc_start_main",
                                                              "__libc_start_main_impl",
                                                              "__libc_start_main@@GLIBC_2.34",
                                                              "__libc_start_call_main",
                                                              "__tsan_thread_start_func",
                                                              "asan_thread_start"};
  // How std calls what it was given; libc++ has an inline namespace more.
  static constexpr std::array<std::string_view, 17> helpers = {"invoke",
                                                               "invoke_r",
                                                               "apply",
                                                               "__apply_impl",
                                                               "__apply_tuple_impl",
                                                               "function::operator()",
                                                               "_Function_handler::_M_invoke",
                                                               "thread::_Invoker::_M_invoke",
                                                               "thread::_Invoker::operator()",
                                                               "thread::_State_impl::_M_run",
                                                               "__thread_proxy",
                                                               "__thread_execute",
                                                               "_Bind::__call",
                                                               "_Bind::operator()",
                                                               "reference_wrapper::operator()",
                                                               "move_only_function::operator()",
                                                               "__function::__func::operator()"};
  if (std::find(starts.begin(), starts.end(), line.function) != starts.end()) return true;
  // A stripped library's unnamed code below the goroutine or thread.
  if (line.system_name.empty() && (line.function.starts_with("libstdc++.so") || line.function.starts_with("libc++.so") ||
                                   line.function.starts_with("libc.so")))
    return true;
  std::string bare = without_template_arguments(function_name(line.function));
  std::string_view name = bare;
  bool of_std = name.starts_with("std::");
  if (!of_std && (name.find("::") != std::string_view::npos || line.file.find("/c++/") == std::string::npos)) return false;
  if (!of_std && name == "operator()") return true;
  if (of_std) name.remove_prefix(5);
  if (name.starts_with("__1::")) name.remove_prefix(5);
  return name.starts_with("__invoke") || std::find(helpers.begin(), helpers.end(), name) != helpers.end();
}

namespace {

// What our code, or a std::function, runs, by the demangled name of what runs it; empty: it does not tell.
std::string callable_in(std::string_view runs) {
  static constexpr std::array<std::string_view, 3> of_ours = {"stray::detail::run_small<", "stray::detail::run_large<",
                                                              "std::_Function_handler<"};
  bool known = std::any_of(of_ours.begin(), of_ours.end(), [&](std::string_view s) { return runs.starts_with(s); });
  return known ? first_callable(runs) : std::string();
}

// A line that the debug information does not have; it lives as long as the answers of symbolize.
const source_line* named_line(const source_line& like, std::string function) {
  static std::mutex lock;
  static auto* made = new std::map<std::tuple<std::string, std::string, int, std::uintptr_t>, source_line>;
  std::lock_guard guard(lock);
  auto [at, fresh] = made->try_emplace({function, like.file, like.line, like.offset}, like);
  if (fresh) at->second.function = std::move(function);
  return &at->second;
}

// The lines of one location, of which the last may only be known by a symbol of ours (4).
void add_location(std::uintptr_t pc, std::vector<shown_line>& all) {
  const std::vector<source_line>& lines = symbolize(pc);
  const source_line& physical = lines.back();
  std::string callable = callable_in(function_name(physical.function));
  if (!callable.empty()) callable += "::operator()";
  const source_line* named = nullptr;  // the outermost that is not ours
  for (const source_line& line : lines)
    if (!is_runtime(line) && !is_invoke_helper(line)) named = &line;
  for (const source_line& line : lines) {
    bool bare = &line == named && line.function == "operator()" && !callable.empty();
    all.push_back({pc, bare ? named_line(line, callable) : &line});
  }
  if (named != nullptr || callable.empty() || !physical.file.empty()) return;
  source_line unknown = physical;
  unknown.line = unknown.start_line = 0;
  all.insert(all.end() - 1, {pc, named_line(unknown, callable)});
}

}  // namespace

std::vector<shown_line> shown_lines(const std::vector<std::uintptr_t>& return_addresses) {
  std::vector<shown_line> all, shown;
  for (std::uintptr_t pc : return_addresses) add_location(pc - 1, all);
  bool beneath_ours = true;  // or at the root
  for (auto at = all.rbegin(); at != all.rend(); ++at) {
    bool ours = is_runtime(*at->line);
    if (ours || (beneath_ours && is_invoke_helper(*at->line))) {
      beneath_ours = true;
      continue;
    }
    beneath_ours = false;
    shown.push_back(*at);
  }
  if (shown.empty()) return all;
  std::reverse(shown.begin(), shown.end());
  return shown;
}

std::vector<shown_line> shown_creators(const std::vector<std::uintptr_t>& return_addresses) {
  constexpr std::size_t most = 3;
  static constexpr std::array<std::string_view, 3> of_others = {"std::", "__gnu_cxx::", "testing::internal::"};
  std::vector<shown_line> shown;
  for (const shown_line& l : shown_lines(return_addresses)) {
    std::string_view name = function_name(l.line->function);
    bool unloaded = l.line->file.empty() && name.starts_with("unknown+");
    bool others = unloaded || is_runtime(*l.line) || is_invoke_helper(*l.line) ||
                  std::any_of(of_others.begin(), of_others.end(), [&](std::string_view s) { return name.starts_with(s); });
    if (shown.empty() || !others) shown.push_back(l);
    if (shown.size() == most) break;
  }
  return shown;
}

}  // namespace stray::profile
