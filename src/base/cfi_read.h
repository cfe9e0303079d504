// Reads the encodings of DWARF inside fixed bounds: past the end it gives zeros and remembers it. Pure.
#pragma once

#include <cstdint>

namespace stray::base::cfi {

class byte_reader {
 public:
  byte_reader(std::uintptr_t at, std::uintptr_t end) noexcept : at_(at), end_(end) {
    if (at_ > end_) fail();
  }

  bool ok() const noexcept { return ok_; }
  bool more() const noexcept { return ok_ && at_ < end_; }
  std::uintptr_t at() const noexcept { return at_; }
  std::uintptr_t end() const noexcept { return end_; }
  std::uintptr_t left() const noexcept { return end_ - at_; }
  void skip(std::uint64_t n) noexcept {
    if (n > left())
      fail();
    else
      at_ += n;
  }

  template <class T>
  T get() noexcept {
    T value{};
    if (left() < sizeof(T)) {
      fail();
    } else {
      struct [[gnu::packed, gnu::may_alias]] anywhere {
        T value;
      };
      value = reinterpret_cast<const anywhere*>(at_)->value;
      at_ += sizeof(T);
    }
    return value;
  }
  std::uint64_t uleb() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; ok_; shift += 7) {
      auto byte = get<std::uint8_t>();
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) break;
    }
    return value;
  }
  std::int64_t sleb() noexcept {
    std::uint64_t value = 0;
    unsigned shift = 0;
    std::uint8_t byte = 0;
    do {
      byte = get<std::uint8_t>();
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      shift += 7;
    } while (ok_ && (byte & 0x80) != 0);
    if (shift < 64 && (byte & 0x40) != 0) value |= ~std::uint64_t{0} << shift;
    return static_cast<std::int64_t>(value);
  }
  // A DW_EH_PE_* pointer; data_base is the start of .eh_frame_hdr. Indirect ones are not followed.
  std::uintptr_t pointer(std::uint8_t encoding, std::uintptr_t data_base) noexcept {
    if (encoding == 0xff) return 0;
    std::uintptr_t here = at_, value = 0;
    switch (encoding & 0x0f) {
      case 0x00:
      case 0x04:
      case 0x0c:
        value = get<std::uint64_t>();
        break;
      case 0x01:
        value = uleb();
        break;
      case 0x02:
        value = get<std::uint16_t>();
        break;
      case 0x03:
        value = get<std::uint32_t>();
        break;
      case 0x09:
        value = static_cast<std::uintptr_t>(sleb());
        break;
      case 0x0a:
        value = static_cast<std::uintptr_t>(std::int64_t{get<std::int16_t>()});
        break;
      case 0x0b:
        value = static_cast<std::uintptr_t>(std::int64_t{get<std::int32_t>()});
        break;
      default:
        fail();
    }
    switch (encoding & 0x70) {
      case 0x00:
        break;
      case 0x10:
        value += here;
        break;
      case 0x30:
        value += data_base;
        break;
      default:
        fail();
    }
    return value;
  }
  void fail() noexcept {
    ok_ = false;
    at_ = end_;
  }

 private:
  std::uintptr_t at_, end_;
  bool ok_ = true;
};

}  // namespace stray::base::cfi
