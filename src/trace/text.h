// One line of text built without libc: for notes written while threads are stopped and in the snapshot.
// Never writes past its room; always ends in a zero byte. Runs anywhere.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stray::trace {

class text {
 public:
  text(char* at, std::size_t room) noexcept : at_(at), left_(room) {
    if (left_ != 0) *at_ = 0;
  }
  text& operator<<(const char* s) noexcept {
    for (; *s != 0; s++) put(*s);
    return *this;
  }
  text& dec(std::uint64_t v) noexcept {
    char digits[20];
    int n = 0;
    do {
      digits[n++] = static_cast<char>('0' + v % 10);
      v /= 10;
    } while (v != 0);
    while (n != 0) put(digits[--n]);
    return *this;
  }
  text& hex(std::uint64_t v) noexcept {
    char digits[16];
    int n = 0;
    do {
      digits[n++] = "0123456789abcdef"[v & 15];
      v >>= 4;
    } while (v != 0);
    while (n != 0) put(digits[--n]);
    return *this;
  }

 private:
  void put(char c) noexcept {
    if (left_ < 2) return;
    *at_++ = c;
    *at_ = 0;
    left_--;
  }
  char* at_;
  std::size_t left_;
};

// Parsing, the other way round; each moves p behind what it took.
inline std::uint64_t take_hex(const char*& p) noexcept {
  std::uint64_t v = 0;
  for (;; p++) {
    if (*p >= '0' && *p <= '9') {
      v = v * 16 + static_cast<unsigned>(*p - '0');
    } else if (*p >= 'a' && *p <= 'f') {
      v = v * 16 + static_cast<unsigned>(*p - 'a' + 10);
    } else {
      return v;
    }
  }
}
inline std::uint64_t take_dec(const char*& p) noexcept {
  std::uint64_t v = 0;
  for (; *p >= '0' && *p <= '9'; p++) v = v * 10 + static_cast<unsigned>(*p - '0');
  return v;
}
inline bool starts_with(const char* s, const char* prefix) noexcept {
  while (*prefix != 0) {
    if (*s++ != *prefix++) return false;
  }
  return true;
}
inline bool ends_with(const char* s, const char* end) noexcept {
  std::size_t of_s = 0, of_end = 0;
  while (s[of_s] != 0) of_s++;
  while (end[of_end] != 0) of_end++;
  return of_end <= of_s && starts_with(s + of_s - of_end, end);
}
inline bool contains(const char* s, const char* part) noexcept {
  for (; *s != 0; s++) {
    if (starts_with(s, part)) return true;
  }
  return false;
}

// The number behind `name`, which begins a line; 0: there is no such line.
inline std::uint64_t number_after(const char* lines, const char* name) noexcept {
  for (const char* at = lines; *at != 0; at++) {
    if ((at != lines && at[-1] != '\n') || !starts_with(at, name)) continue;
    while (*name != 0) at++, name++;
    while (*at == ' ' || *at == '\t') at++;
    return take_dec(at);
  }
  return 0;
}

}  // namespace stray::trace
