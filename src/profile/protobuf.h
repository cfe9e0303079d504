// Writes protocol buffers (protobuf.dev/programming-guides/encoding): what profile.proto needs, numbers, text, packed numbers and nested
// messages.
//
// Rejected: protozero. Its inline functions would be weak symbols of a static libstray, and a program may bring another version.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace stray::profile {

class message {
 public:
  explicit message(std::string& out) noexcept : out_(out) {}
  // A message inside another one, which nobody else writes to meanwhile; it is complete when it is destroyed.
  message(message& outer, std::uint32_t field) : out_(outer.out_), nested_(true) {
    key(field, 2);
    begin_ = out_.size();
  }
  ~message() {
    if (!nested_) return;
    char length[10];
    out_.insert(begin_, length, encode(out_.size() - begin_, length));
  }
  message(const message&) = delete;
  message& operator=(const message&) = delete;

  // int64, uint64 and bool alike.
  template <class T>
  void number(std::uint32_t field, T value) {
    key(field, 0);
    varint(static_cast<std::uint64_t>(value));
  }
  void text(std::uint32_t field, std::string_view value) {
    key(field, 2);
    varint(value.size());
    out_ += value;
  }
  template <class T>
  void packed(std::uint32_t field, const T* first, const T* last) {
    message list(*this, field);
    for (; first != last; ++first) list.varint(static_cast<std::uint64_t>(*first));
  }

 private:
  static std::size_t encode(std::uint64_t value, char* to) noexcept {
    std::size_t n = 0;
    for (; value >= 0x80; value >>= 7) to[n++] = static_cast<char>(value | 0x80);
    to[n++] = static_cast<char>(value);
    return n;
  }
  void varint(std::uint64_t value) {
    char bytes[10];
    out_.append(bytes, encode(value, bytes));
  }
  void key(std::uint32_t field, std::uint32_t type) { varint(field << 3 | type); }

  std::string& out_;
  const bool nested_ = false;
  std::size_t begin_ = 0;
};

}  // namespace stray::profile
