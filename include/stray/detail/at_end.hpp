// A duty that is done once, at the end of whoever holds it last.
#pragma once

#include <utility>

namespace stray::detail {

// Calls (owner.*Duty)() when it is destroyed, unless it has been moved from.
template <auto Duty>
class at_end;
template <class Owner, class Result, bool NoExcept, Result (Owner::*Duty)() noexcept(NoExcept)>
class at_end<Duty> {
 public:
  explicit at_end(Owner& owner) noexcept : owner_(&owner) {}
  at_end(at_end&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
  at_end& operator=(at_end&&) = delete;
  ~at_end() {
    if (owner_ != nullptr) (owner_->*Duty)();
  }
  Owner& owner() const noexcept { return *owner_; }  // of one that has not been moved from

 private:
  Owner* owner_;
};

}  // namespace stray::detail
