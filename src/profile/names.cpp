// Cuts demangled text by brackets, with care for operators whose signs are brackets. Nonsense passes uncut, never out of bounds.
#include "profile/names.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cxxabi.h>
#include <iterator>
#include <vector>

#include "profile/expansion.h"

namespace stray::profile {

namespace {

bool word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$'; }

// Is text[at] the first letter of the keyword `operator`?
bool operator_at(std::string_view text, std::size_t at) {
  constexpr std::string_view keyword = "operator";
  return text.substr(at, keyword.size()) == keyword && (at == 0 || !word(text[at - 1])) &&
         (at + keyword.size() == text.size() || !word(text[at + keyword.size()]));
}

// The end of the operator's own signs, so that those of operator<, operator-> and operator() are not taken for brackets.
std::size_t after_operator(std::string_view text, std::size_t at) {
  std::size_t end = at + 8;
  std::string_view rest = text.substr(end);
  if (rest.starts_with("()") || rest.starts_with("[]")) return end + 2;
  for (std::string_view sign : {"<=>", "->*", "<<=", ">>=", "->", "<<", ">>", "<=", ">=", "<", ">"})
    if (rest.starts_with(sign)) return end + sign.size();
  return end;
}

int bracket(char c) {
  switch (c) {
    case '(':
    case '<':
    case '{':
    case '[':
      return 1;
    case ')':
    case '>':
    case '}':
    case ']':
      return -1;
    default:
      return 0;
  }
}

// The '(' that the ')' at the end of text closes; npos when unbalanced.
std::size_t matching_open(std::string_view text) {
  int depth = 0;
  for (std::size_t i = text.size(); i-- > 0;) {
    if (text[i] == ')') ++depth;
    if (text[i] == '(' && --depth == 0) return i;
  }
  return std::string_view::npos;
}

bool drop_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

std::string_view without_parameters(std::string_view text) {
  while (text.ends_with(']') && text.rfind(" [clone") != std::string_view::npos) text = text.substr(0, text.rfind(" [clone"));
  std::string_view bare = text;
  while (drop_suffix(bare, " const") || drop_suffix(bare, " volatile") || drop_suffix(bare, " noexcept") ||
         drop_suffix(bare, " &") || drop_suffix(bare, "&") || drop_suffix(bare, " ")) {
  }
  if (!bare.ends_with(')')) return text;
  std::size_t open = matching_open(bare);
  if (open == std::string_view::npos || open == 0) return text;
  std::string_view head = bare.substr(0, open);
  if (head.ends_with("operator") && operator_at(head, head.size() - 8)) return bare;  // "x::operator()" itself
  if (head.ends_with("::")) return bare;                                              // "x::(anonymous class)"
  if (head.ends_with(' ') && !operator_at(head, head.rfind(' ') >= 8 ? head.rfind(' ') - 8 : 0)) return text;
  // "void (*f<int>(int))(char)": a function that returns a pointer to function.
  if (head.ends_with(')')) {
    std::size_t inner = matching_open(head);
    if (inner != std::string_view::npos && inner + 1 < head.size() && (head[inner + 1] == '*' || head[inner + 1] == '&'))
      return without_parameters(head.substr(inner + 2, head.size() - inner - 3));
  }
  return head;
}

bool qualifiers(std::string_view text) {
  constexpr std::string_view known[] = {"const", "volatile", "&", "&&", "const &", "const &&", "const&", "const volatile"};
  return std::find(std::begin(known), std::end(known), text) != std::end(known);
}

// How many characters of qualifiers there are in front of "::", as in "const::{lambda()#1}"; 0: none. No further than they can reach.
std::size_t qualifiers_of_scope(std::string_view text) {
  constexpr std::size_t longest = std::string_view("const volatile").size();
  std::size_t scope = text.substr(0, longest + 2).find("::");
  return scope != std::string_view::npos && qualifiers(text.substr(0, scope)) ? scope : 0;
}

std::string_view without_return_type(std::string_view text) {
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == 'o' && operator_at(text, i)) {
      std::size_t end = after_operator(text, i);
      if (depth == 0 && end < text.size() && text[end] == ' ') break;  // operator new, operator bool: the rest is the name
      i = end - 1;
      continue;
    }
    if (text[i] == '-' && i + 1 < text.size() && text[i + 1] == '>') {  // an arrow in a decltype
      ++i;
      continue;
    }
    depth += bracket(text[i]);
    if (depth != 0 || text[i] != ' ') continue;
    // The qualifiers of an enclosing function, "f() const::{lambda()#1}", are part of the scope.
    if (std::size_t more = qualifiers_of_scope(text.substr(i + 1)))
      i += more;
    else
      begin = i + 1;
  }
  return text.substr(begin);
}

// Behind the bracket that closes the one at text[at]; npos when unbalanced.
std::size_t behind_bracket(std::string_view text, std::size_t at) {
  int depth = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    if (text[i] == 'o' && operator_at(text, i)) {
      i = after_operator(text, i) - 1;
    } else if (text[i] == '-' && i + 1 < text.size() && text[i + 1] == '>') {
      ++i;
    } else if ((depth += bracket(text[i])) == 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

// The scopes and the name at the beginning of an encoding, and of the first template argument.
std::string plain_names(std::string_view& at, int depth) {
  std::string names;
  int locals = 0;
  for (; at.starts_with('Z'); at.remove_prefix(1)) ++locals;
  if (at.starts_with('N')) at.remove_prefix(1);
  while (!at.empty() && std::string_view("KVRO").find(at[0]) != std::string_view::npos) at.remove_prefix(1);
  for (;;) {
    if (names.empty() && at.starts_with("St")) {
      names = "std";
      at.remove_prefix(2);
    } else if (at.starts_with('L')) {
      at.remove_prefix(1);
    } else {
      std::size_t length = 0;
      while (!at.empty() && std::isdigit(static_cast<unsigned char>(at[0])) != 0 && length < at.size()) {
        length = length * 10 + static_cast<std::size_t>(at[0] - '0');
        at.remove_prefix(1);
      }
      if (length == 0 || length > at.size()) break;
      std::string_view name = at.substr(0, length);
      at.remove_prefix(length);
      if (!names.empty()) names += "::";
      names += name.starts_with("_GLOBAL__N") ? "(anonymous namespace)" : name;
    }
  }
  if (names.empty()) return names;
  if (at.starts_with('I')) {
    at.remove_prefix(1);
    std::string argument = depth < 4 ? plain_names(at, depth + 1) : std::string();
    names.append("<").append(argument.empty() ? "..." : argument).append(">");
  }
  return locals != 0 ? names + "::{...}" : names;
}

// "_ZN5stray10wait_group2goITk...": what nobody can read yet, cut where that begins.
std::string demangle_in_part(std::string_view symbol) {
  if (!symbol.starts_with("_Z")) return std::string(symbol);
  std::string_view at = symbol.substr(2);
  std::string names = plain_names(at, 0);
  return names.empty() ? std::string(symbol) : names;
}

}  // namespace

std::string demangle(const char* symbol) {
  constexpr std::size_t most = std::size_t{2} << 20;
  int status = 0;
  bool readable = symbol[0] == '_' && symbol[1] == 'Z' && expansion_bound(symbol) <= most;
  char* text = readable ? abi::__cxa_demangle(symbol, nullptr, nullptr, &status) : nullptr;
  std::string result = text != nullptr ? text : demangle_in_part(symbol);
  std::free(text);
  return result;
}

std::string limited(std::string_view name) {
  constexpr std::size_t most = 4096, at_end = 1024;
  constexpr std::string_view gap = "...";
  if (name.size() <= most) return std::string(name);
  return std::string(name.substr(0, most - at_end - gap.size())).append(gap).append(name.substr(name.size() - at_end));
}

std::string_view function_name(std::string_view demangled) { return without_return_type(without_parameters(demangled)); }

std::string without_template_arguments(std::string_view name) {
  std::string result;
  int depth = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == 'o' && operator_at(name, i)) {
      std::size_t end = after_operator(name, i);
      if (depth == 0) result.append(name.substr(i, end - i));
      i = end - 1;
      continue;
    }
    if (name[i] == '-' && i + 1 < name.size() && name[i + 1] == '>') {
      if (depth == 0) result.append("->");
      ++i;
      continue;
    }
    if (name[i] == '<') ++depth;
    if (depth == 0) result.push_back(name[i]);
    if (name[i] == '>' && depth > 0) --depth;
  }
  return result;
}

namespace {

// The template arguments of the first template in a name, if it has any.
std::vector<std::string_view> template_arguments(std::string_view name) {
  std::vector<std::string_view> out;
  std::size_t open = 0;
  while (open < name.size() && name[open] != '<')
    open = name[open] == 'o' && operator_at(name, open) ? after_operator(name, open) : open + 1;
  std::size_t end = open < name.size() ? behind_bracket(name, open) : std::string_view::npos;
  if (end == std::string_view::npos) return out;
  for (std::size_t at = open + 1, begin = at; at < end;) {
    if (name[at] == ',' || at + 1 == end) {
      std::string_view one = name.substr(begin, at - begin);
      while (one.starts_with(' ')) one.remove_prefix(1);
      while (one.ends_with(' ')) one.remove_suffix(1);
      if (!one.empty()) out.push_back(one);
      begin = ++at;
    } else if (bracket(name[at]) > 0 && behind_bracket(name, at) != std::string_view::npos) {
      at = behind_bracket(name, at);
    } else {
      ++at;
    }
  }
  return out;
}

bool may_be_class(std::string_view type) {
  constexpr std::string_view builtin[] = {"void",     "bool",   "char",  "short",  "int",    "long",
                                          "unsigned", "signed", "float", "double", "wchar_t"};
  if (type.empty() || std::string_view("*&])").find(type.back()) != std::string_view::npos) return false;
  if ((!word(type[0]) && type[0] != '(') || std::isdigit(static_cast<unsigned char>(type[0])) != 0) return false;
  return std::find(std::begin(builtin), std::end(builtin), type.substr(0, type.find(' '))) == std::end(builtin);
}

std::string first_callable(std::string_view name, int depth) {
  if (depth > 16) return {};
  for (std::string_view one : template_arguments(name)) {
    bool of_library = one.starts_with("stray::") || one.starts_with("std::");
    std::string found = of_library ? first_callable(one, depth + 1) : may_be_class(one) ? std::string(one) : std::string();
    if (!found.empty()) return found;
  }
  return {};
}

}  // namespace

std::string first_callable(std::string_view name) { return first_callable(name, 0); }

std::string short_name(std::string_view name) {
  std::string result;
  bool named = false;  // what is before is a name, and a bracket here begins its arguments
  for (std::size_t i = 0; i < name.size();) {
    std::string_view rest = name.substr(i);
    std::size_t end = std::string_view::npos;
    if (name[i] == 'o' && operator_at(name, i)) {
      end = after_operator(name, i);
      result.append(name.substr(i, end - i));
      named = true;
    } else if (bool tag = rest.starts_with("[abi:"); tag || (named && (name[i] == '<' || name[i] == '('))) {
      end = behind_bracket(name, i);
      if (end == std::string_view::npos) return std::string(name);
      if (name[i] == '<') result.append(end == i + 2 ? "<>" : "<...>");
      std::size_t more = name[i] == '(' && name.substr(end).starts_with(' ') ? qualifiers_of_scope(name.substr(end + 1)) : 0;
      if (more != 0) end += 1 + more;
    } else {
      named = word(name[i]);
      result.push_back(name[i]);
      end = i + 1;
    }
    i = end;
  }
  return result;
}

}  // namespace stray::profile
