// Boost.Fiber: one worker with round_robin, more with work_stealing. It has no select.
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include <boost/fiber/all.hpp>
#include "bench/peers/shapes.hpp"

namespace {

namespace fibers = boost::fibers;

struct boost_fiber {
  using mutex = fibers::mutex;

  template <class F>
  static void go(F f) {
    fibers::fiber(fibers::launch::post, std::allocator_arg, fibers::fixedsize_stack(shapes::stack_bytes()), std::move(f))
        .detach();
  }
  static void yield() { boost::this_fiber::yield(); }
  static void sleep_ms(int ms) { boost::this_fiber::sleep_for(std::chrono::milliseconds(ms)); }

  class wait_group {
   public:
    void add(long n) {
      left_ += n;
      open_ = false;
    }
    void done() {
      if (left_.fetch_sub(1) != 1) return;
      std::unique_lock lock(mutex_);
      open_ = true;
      changed_.notify_all();
    }
    void wait() {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return open_; });
    }

   private:
    std::atomic<long> left_{0};
    bool open_ = true;
    fibers::mutex mutex_;
    fibers::condition_variable changed_;
  };

  template <class T>
  class chan {
   public:
    explicit chan(int capacity) {
      if (capacity == 0) {
        unbuffered_ = std::make_unique<fibers::unbuffered_channel<T>>();
      } else {
        buffered_ = std::make_unique<fibers::buffered_channel<T>>(static_cast<std::size_t>(capacity));
      }
    }
    void send(T v) {
      if (buffered_) {
        buffered_->push(v);
      } else {
        unbuffered_->push(v);
      }
    }
    void recv(T& v) {
      if (buffered_) {
        buffered_->pop(v);
      } else {
        unbuffered_->pop(v);
      }
    }

   private:
    std::unique_ptr<fibers::unbuffered_channel<T>> unbuffered_;
    std::unique_ptr<fibers::buffered_channel<T>> buffered_;
  };

  template <class F>
  static void run(int workers, F f) {
    if (workers > 1) {
      for (int i = 1; i < workers; i++)
        std::thread([workers] {
          fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(static_cast<std::uint32_t>(workers), true);
          fibers::mutex m;
          fibers::condition_variable never;
          std::unique_lock lock(m);
          never.wait(lock, [] { return false; });
        }).detach();
      fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(static_cast<std::uint32_t>(workers), true);
    }
    f();
  }
};

}  // namespace

int main(int argc, char** argv) { return shapes::run<boost_fiber>(argc, argv); }
