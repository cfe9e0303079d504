// What a case prints: one line a site, `COUNT SITE [REASON] TIER @LINE`, sorted, or `nothing`. tests/cases/driver.py compares it with the
// head of the source.
//
// SITE is the innermost function of the user's own code, without arguments, template arguments and anonymous namespaces; a lambda is
// `enclosing::lambda`. LINE is that frame's line. With STRAY_SHOW=1 the report that a person reads is printed first, up to `----`; with
// STRAY_CAUSES=1 a line `cause: TEXT` a group follows; with STRAY_COUNT=1 a line `count: N`: the goroutines there are, leaked or not.
#pragma once

#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <string_view>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace report {

inline void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
}

// `main::{lambda(int)#1}::operator()(int) const` and clang's `main::$_0::operator()(int) const` -> `main::lambda`
inline std::string short_name(std::string name) {
  replace_all(name, "(anonymous namespace)::", "");
  replace_all(name, "::operator()", "");
  std::string plain;
  int depth = 0;
  for (std::size_t i = 0; i < name.size(); i++) {
    char c = name[i];
    if (depth == 0 && (name.compare(i, 7, "{lambda") == 0 || name.compare(i, 2, "$_") == 0)) plain += "lambda";
    if (depth == 0 && c == '$') {
      while (i + 1 < name.size() && (name[i + 1] == '_' || (name[i + 1] >= '0' && name[i + 1] <= '9'))) i++;
      continue;
    }
    if (c == '(' || c == '<' || c == '{' || c == '[') {
      depth++;
    } else if (c == ')' || c == '>' || c == '}' || c == ']') {
      depth--;
    } else if (depth == 0) {
      plain += c;
    }
  }
  replace_all(plain, " const", "");
  replace_all(plain, " volatile", "");
  replace_all(plain, "&", "");
  while (!plain.empty() && plain.back() == ' ') plain.pop_back();
  std::size_t space = plain.rfind(' ');  // a template's name begins with its return type
  return space == std::string::npos ? plain : plain.substr(space + 1);
}

// The innermost frame of code that is neither stray's nor the standard library's.
inline stray::leak::frame site_of(const stray::leak::group& g) {
  for (const stray::leak::frame& f : g.stack) {
    std::string name = short_name(f.function);
    if (name.starts_with("stray::") || name.starts_with("std::") || name.starts_with("__gnu_cxx::")) continue;
    return f;
  }
  return g.stack.empty() ? stray::leak::frame{} : g.stack.front();
}

// Prints it; main returns the result.
inline int print(const stray::leak::report& r) {
  if (std::getenv("STRAY_SHOW") != nullptr) std::cout << r << "\n----\n";
  std::map<std::string, std::size_t> lines;
  for (const stray::leak::group& g : r.groups()) {
    stray::leak::frame site = site_of(g);
    lines[short_name(site.function) + " [" + g.wait_reason + "] " + stray::leak::to_string(g.tier) + " @" +
          std::to_string(site.line)] += g.count;
  }
  for (const auto& [line, count] : lines) std::cout << count << ' ' << line << '\n';
  if (lines.empty()) std::cout << "nothing\n";
  if (std::getenv("STRAY_CAUSES") != nullptr) {
    for (const stray::leak::group& g : r.groups()) std::cout << "cause: " << g.cause << '\n';
  }
  if (std::getenv("STRAY_COUNT") != nullptr) std::cout << "count: " << stray::num_goroutine() << '\n';
  if (!r.complete()) {
    std::cout << "incomplete\n";
    for (const std::string& note : r.notes()) std::cout << "note: " << note << '\n';
  }
  std::cout.flush();
  return 0;
}
inline int print(const stray::leak::options& o = {}) { return print(stray::leak::find(o)); }

// For a case that must be silent until something is taken away: ends the program when it is not.
inline void expect_silent(std::string_view while_what) {
  stray::leak::report r = stray::leak::find();
  if (r.total() == 0 && r.complete()) return;
  std::cout << "not silent while " << while_what << '\n';
  print(r);
  std::exit(1);
}

// Waits until every goroutine has returned.
inline void until_finished() {
  while (stray::num_goroutine() != 0) stray::yield();
}

}  // namespace report
