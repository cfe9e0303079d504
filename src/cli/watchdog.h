// Ends a request from outside: the HTTP library has a limit for each read only, and none for what comes before the body.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <thread>

namespace stray::cli {

// Shuts the watched socket down when the time is over or more bytes have come than `most`. A thread of its own, for the life of the object.
class watchdog {
 public:
  watchdog(std::chrono::steady_clock::time_point end, std::size_t most);
  ~watchdog();
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;

  void watch(int socket);  // instead of the last one; it may be closed at any time
  void expect(std::size_t most);
  bool late() const;
  bool flooded() const;

 private:
  void run();
  bool bite();  // with the lock; true: the socket is shut down

  const std::chrono::steady_clock::time_point end_;
  mutable std::mutex lock_;
  std::condition_variable changed_;
  std::size_t most_;
  int socket_ = -1;  // our own descriptor of it
  bool done_ = false, late_ = false, flooded_ = false;
  std::thread thread_;
};

}  // namespace stray::cli
