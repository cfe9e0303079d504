// The symbol is read once, as brackets and what is between them, without a grammar.
//
// 1. Only references repeat text: S0_ a part of the symbol that is complete by now, T0_ a template argument.
// 2. Parts are numbered in the order in which they are complete. So S0_ to S4_ are no longer than the longest complete part at the first reference
//    to any of these or of later ones; which part it is need not be known.
// 3. A pattern that is expanded (Dp) is repeated for each of as many arguments as any list has.
#include "profile/expansion.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <vector>

namespace stray::profile {

namespace {

constexpr std::size_t ceiling = std::size_t{1} << 40, of_a_letter = 20, of_a_std_name = 80;  // "unsigned long long"; that of Ss

bool digit(char c) { return c >= '0' && c <= '9'; }

class reader {
 public:
  explicit reader(std::string_view symbol) : text_(symbol.substr(0, symbol.find('.'))) {}

  std::size_t bound() {
    at_ = 2;
    if (peek() == 'T' || peek() == 'G') {  // of a vtable, a thunk, a guard
      bool moved = starts("Th") || starts("Tv") || starts("Tc");
      at_ += 2;
      if (moved) offsets();
    }
    while (at_ < text_.size()) step();
    std::size_t all = 0;
    for (const level& l : levels_) all = add(all, l.sum);
    return add(all, of_a_letter * text_.size());
  }

 private:
  struct level {
    char kind;
    std::size_t sum = 0, last = 0;  // of all parts; of the last one, which an I...E behind it makes longer
    std::size_t parts = 0, factor = 1;
  };

  static std::size_t add(std::size_t a, std::size_t b) { return std::min(a + b, ceiling); }
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool starts(std::string_view with) const { return text_.substr(at_, with.size()) == with; }
  bool in_expression() const { return std::string_view("XDc").find(levels_.back().kind) != std::string_view::npos; }

  void part(std::size_t size) {
    level& l = levels_.back();
    size = std::min(size, ceiling) * std::min(l.factor, std::size_t{1} << 20);
    l.factor = 1;
    l.parts++;
    l.last = std::min(size, ceiling);
    l.sum = add(l.sum, l.last);
    complete(l);
  }
  void complete(const level& l) {
    longest_ = std::max({longest_, l.last, l.kind == 'N' ? l.sum : 0});  // of a::b::c each beginning is a part
    most_parts_ = std::max(most_parts_, l.parts);
  }

  void open(char kind, std::size_t letters) {
    levels_.push_back({kind});
    at_ += letters;
  }
  void close() {
    at_++;
    if (levels_.size() == 1) return;
    level inner = levels_.back();
    levels_.pop_back();
    if (inner.kind != 'I') {
      part(add(inner.sum, of_a_letter));
    } else {
      level& l = levels_.back();
      std::size_t size = add(inner.sum, of_a_letter);
      l.last = add(l.last, size);
      l.sum = add(l.sum, size);
      complete(l);
    }
    if (inner.kind == 'U') number();  // of a lambda: E_, E0_
  }

  // [n]DIGITS_, or parts of it.
  void number() {
    if (peek() == 'n') at_++;
    while (digit(peek())) at_++;
    if (peek() == '_') at_++;
  }
  void offsets() {  // of a thunk
    number();
    if (digit(peek()) || (peek() == 'n' && digit(peek(1)))) number();
  }

  void name() {
    std::size_t length = 0;
    while (digit(peek()) && length < text_.size()) length = length * 10 + static_cast<std::size_t>(text_[at_++] - '0');
    part(std::max(length, of_a_letter) + of_a_letter);  // "(anonymous namespace)" is longer than its symbol
    at_ += std::min(length, text_.size() - std::min(at_, text_.size()));
  }

  // S_, S0_, ..., T_, T0_, ...; false: it is none.
  bool reference() {
    std::size_t end = at_ + 1, index = 0;
    auto of_a_number = [&](char c) { return digit(c) || (text_[at_] == 'S' && c >= 'A' && c <= 'Z'); };
    for (; end < text_.size() && of_a_number(text_[end]); end++)
      index = std::min<std::size_t>(index * 36 + static_cast<std::size_t>(text_[end] - (digit(text_[end]) ? '0' : 'A' - 10)),
                                    text_.size());
    if (end >= text_.size() || text_[end] != '_') return false;
    if (end > at_ + 1) index++;
    bool of_a_part = text_[at_] == 'S';
    at_ = end + 1;
    if (of_a_part && index >= parts_.size()) parts_.resize(index + 1, longest_);
    part(of_a_part ? parts_[index] : longest_);
    return true;
  }

  void literal() {
    char kind = levels_.back().kind;
    bool of_a_type = std::string_view("IJXDcL").find(kind) != std::string_view::npos;
    if (!of_a_type && !starts("L_Z")) {  // a name of internal linkage
      at_++;
    } else if (starts("L_Z")) {
      open('L', 3);
    } else if (std::islower(static_cast<unsigned char>(peek(1))) != 0 || peek(1) == 'D') {  // Li5E
      std::size_t end = std::min(text_.find('E', at_), text_.size());
      part(end - at_ + of_a_letter * 2);
      at_ = std::min(end + 1, text_.size());
    } else {
      open('L', 1);
    }
  }

  void step() {
    char c = peek();
    if (levels_.back().kind == 'L' && levels_.back().parts > 0 && (digit(c) || c == 'n')) {  // the value behind the type
      number();
    } else if (digit(c)) {
      name();
    } else if (c == 'E') {
      close();
    } else if (in_expression() && two_letters()) {
    } else if (c == 'S' || c == 'T') {
      if (reference()) return;
      bool whole = c == 'S' && std::string_view("abiosd").find(peek(1)) != std::string_view::npos;
      if (whole) part(of_a_std_name);
      at_ += c == 'S' ? 2 : 1;
    } else if (c == 'D') {
      d();
    } else if (c == 'L') {
      literal();
    } else if (starts("Ul")) {
      open('U', 2);
    } else if (starts("Ut")) {
      at_ += 2;
      number();
      part(of_a_letter);
    } else if (c == 'A') {  // an array's size
      at_++;
      number();
    } else if (starts("__")) {  // which of several locals
      at_ += 2;
      number();
    } else if (c == '_') {
      at_ += digit(peek(1)) ? 2 : 1;
    } else if (c == 'C' && digit(peek(1))) {
      at_ += 2;
      part(levels_.back().last);  // a constructor is called as its class
    } else if (std::string_view("NIJXFZ").find(c) != std::string_view::npos) {
      open(c, 1);
    } else if (levels_.back().kind == 'N' || (at_ == 2 && levels_.size() == 1)) {
      operator_or_letter();
    } else {
      at_++;
      part(of_a_letter);
    }
  }

  void d() {
    char next = peek(1);
    if (next == 'p') {
      at_ += 2;
      levels_.back().factor = most_parts_ + 1;
    } else if (next == 'T' || next == 't' || next == 'O') {
      open('D', 2);
    } else if (next == 'C') {
      open('N', 2);
    } else if (next == 'v') {
      at_ += 2;
      number();
    } else {
      at_ += 2;
      part(digit(next) ? add(levels_.back().last, 1) : of_a_letter);  // a destructor is called as its class
    }
  }

  // Operators whose second letter is a capital; in types it would begin something.
  void operator_or_letter() {
    bool known = false;
    for (std::string_view o : {"aN", "aS", "dV", "eO", "lS", "mI", "mL", "oR", "pL", "rM", "rS"}) known = known || starts(o);
    at_ += known ? 2 : 1;
    part(of_a_letter);
  }

  bool two_letters() {
    for (std::string_view list : {"cl", "il", "tl", "sP", "nw", "na", "pi"}) {
      if (!starts(list)) continue;
      open('c', 2);
      return true;
    }
    if (starts("cv_")) {
      open('c', 3);
      return true;
    }
    if (starts("sp") || starts("sZ")) {
      at_ += 2;
      levels_.back().factor = most_parts_ + 1;
      return true;
    }
    if (starts("fp") || starts("fL")) {
      at_ += 2;
      number();
      if (peek() == 'p') at_++, number();
      part(of_a_letter);
      return true;
    }
    for (std::string_view o : {"aN", "aS", "dV", "eO", "lS", "mI", "mL", "oR", "pL", "rM", "rS", "st",
                               "sz", "sr", "at", "az", "dt", "pt", "ds", "gs", "on", "fl", "fr", "fR"}) {
      if (!starts(o)) continue;
      at_ += 2;
      part(of_a_letter);
      return true;
    }
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0, longest_ = of_a_letter, most_parts_ = 0;
  std::vector<level> levels_{{'0'}};
  std::vector<std::size_t> parts_;  // by index: no part is longer
};

}  // namespace

std::size_t expansion_bound(std::string_view symbol) {
  return symbol.starts_with("_Z") ? reader(symbol).bound() : symbol.size();
}

}  // namespace stray::profile
