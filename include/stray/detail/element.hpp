// What the byte cores know of a channel's element type.
//
// The core only ever moves and destroys elements, without exceptions: a T whose move may throw travels in a box (one allocation in
// send), so nothing can throw between the claim of a waiter and its wake.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace stray::detail {

struct element_ops {
  std::uint32_t size;
  std::uint32_t align;
  void (*move_to)(void* to, void* from) noexcept;  // constructs *to from *from, which is left moved-from; nullptr: memcpy
  void (*destroy_at)(void* at) noexcept;           // nullptr: nothing to do

  void move(void* to, void* from) const noexcept {
    if (move_to != nullptr) {
      move_to(to, from);
    } else if (size != 0) {
      std::memcpy(to, from, size);
    }
  }
  void destroy(void* at) const noexcept {
    if (destroy_at != nullptr) destroy_at(at);
  }
};

// How a T travels.
template <class T>
struct carrier {
  static constexpr bool boxed = !std::is_nothrow_move_constructible_v<T>;
  using type = std::conditional_t<boxed, std::unique_ptr<T>, T>;
};
template <class T>
using carrier_t = typename carrier<T>::type;

template <class C>
void move_element(void* to, void* from) noexcept {
  ::new (to) C(std::move(*static_cast<C*>(from)));
}
template <class C>
void destroy_element(void* at) noexcept {
  static_cast<C*>(at)->~C();
}

template <class T>
inline constexpr element_ops ops_of = {
    sizeof(carrier_t<T>),
    alignof(carrier_t<T>),
    std::is_trivially_copyable_v<carrier_t<T>> ? nullptr : &move_element<carrier_t<T>>,
    std::is_trivially_destructible_v<carrier_t<T>> ? nullptr : &destroy_element<carrier_t<T>>,
};
template <>
inline constexpr element_ops ops_of<void> = {0, 1, nullptr, nullptr};

// Zeroes the bytes of an object that has ended: what they pointed to must not look held. The compiler may not leave it out.
[[gnu::always_inline]] inline void wipe(void* at, std::size_t size) noexcept {
  if (size > 64) asm("" : "+r"(size));  // libc's memset: g++ would make `rep stos` of it, 13 ns for 256 bytes
  std::memset(at, 0, size);
  asm volatile("" : : "r"(at) : "memory");
}

// Raw storage for one travelling element on the caller's stack. Nothing of the element is left when it has been taken.
template <class T>
class element_slot {
 public:
  element_slot() noexcept = default;
  // Of an empty one that is going to wait for its element, perhaps for ever: what lay there before is nobody's.
  void clear() noexcept { wipe(bytes_, sizeof bytes_); }
  element_slot(const element_slot&) = delete;
  element_slot& operator=(const element_slot&) = delete;
  ~element_slot() { reset(); }

  template <class U>
  void emplace(U&& value) {
    if constexpr (carrier<T>::boxed) {
      ::new (bytes_) carrier_t<T>(std::make_unique<T>(std::forward<U>(value)));
    } else {
      ::new (bytes_) carrier_t<T>(std::forward<U>(value));
    }
    full_ = true;
  }
  void* raw() noexcept { return bytes_; }
  bool full() const noexcept { return full_; }
  void filled() noexcept { full_ = true; }  // the core has constructed an element here
  void reset() noexcept {
    if (!full_) return;
    get()->~carrier_t<T>();
    wipe(bytes_, sizeof bytes_);
    full_ = false;
  }
  // May throw if T's move does: the value is consumed then, too.
  void take_to(std::optional<T>& empty) {
    struct emptied {
      element_slot& slot;
      ~emptied() { slot.reset(); }
    } guard{*this};
    if constexpr (carrier<T>::boxed) {
      empty.emplace(std::move(**get()));
    } else {
      empty.emplace(std::move(*get()));
    }
  }

 private:
  carrier_t<T>* get() noexcept { return std::launder(reinterpret_cast<carrier_t<T>*>(bytes_)); }
  alignas(carrier_t<T>) unsigned char bytes_[sizeof(carrier_t<T>)];
  bool full_ = false;
};

}  // namespace stray::detail

#pragma GCC visibility pop
