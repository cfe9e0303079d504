// Which lines of a stack a person should see.
//
// 1. By line, not by location: at -O2 stray's recv is an inlined line of the user's own location.
// 2. Lines are dropped at the two ends only: stray called by the user called by stray shows all between.
// 3. A stack of nothing but such lines is shown whole, as Go does.
#include <algorithm>
#include <array>
#include <string_view>

#include "profile/names.h"
#include "profile/symbolize.h"

namespace stray::profile {

bool is_runtime(const source_line& line) { return function_name(line.function).starts_with("stray::"); }

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
  std::string_view shown = function_name(line.function);
  if (!shown.starts_with("std::")) return false;
  std::string bare = without_template_arguments(shown);
  std::string_view name = std::string_view(bare).substr(5);
  if (name.starts_with("__1::")) name.remove_prefix(5);
  return name.starts_with("__invoke") || std::find(helpers.begin(), helpers.end(), name) != helpers.end();
}

std::vector<shown_line> shown_lines(const std::vector<std::uintptr_t>& return_addresses) {
  std::vector<shown_line> all;
  for (std::uintptr_t pc : return_addresses)
    for (const source_line& line : symbolize(pc - 1)) all.push_back({pc - 1, &line});
  auto first = all.begin(), last = all.end();
  while (first != last && is_runtime(*first->line)) ++first;
  while (first != last && (is_runtime(*last[-1].line) || is_invoke_helper(*last[-1].line))) --last;
  if (first == last) return all;
  return {first, last};
}

}  // namespace stray::profile
