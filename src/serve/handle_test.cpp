// pprof::handle: the endpoint behind a user's own server, whose handlers may be threads or goroutines.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include "base/arch.h"

namespace stray {
namespace {

TEST(handle, answers_threads_and_goroutines) {
#if defined(STRAY_TSAN)
  GTEST_SKIP() << "ThreadSanitizer puts its own handler before ours: threads cannot be stopped, nothing is proven, and the "
                  "answer is 503";
#endif
  go([] { make_chan<int>().recv(); });
  testing::until_settled(std::chrono::minutes(1));
  std::size_t leaked = leak::find().total();
  std::string total = "goroutineleak profile: total " + std::to_string(leaked);
  auto expect_answers = [total] {
    pprof::response leaks = pprof::handle("GET", "/debug/pprof/goroutineleak?debug=1");
    EXPECT_EQ(leaks.status, 200);
    EXPECT_EQ(leaks.body.substr(0, leaks.body.find('\n')), total);
    EXPECT_EQ(pprof::handle("POST", "/debug/pprof/goroutineleak").status, 405);
    EXPECT_EQ(pprof::handle("GET", "/elsewhere").status, 404);
  };
  ASSERT_GE(leaked, 1u);
  expect_answers();
  wait_group served;
  for (int i = 0; i < 3; i++) served.go(expect_answers);
  served.wait();
  std::thread(expect_answers).join();
  pprof::response all = pprof::handle("GET", "/debug/pprof/goroutine?debug=2");
  EXPECT_EQ(all.body.find("thread "), std::string::npos) << "who asks is no blocked thread: " << all.body;
}

TEST(handle, two_requests_wait_at_a_time) {
  go([] {});
  std::atomic<int> served{0}, refused{0};
  std::vector<std::thread> askers;
  for (int i = 0; i < 20; i++)
    askers.emplace_back([&] {
      pprof::response r = pprof::handle("GET", "/debug/pprof/goroutine?seconds=1");
      bool says_when =
          std::count(r.headers.begin(), r.headers.end(), std::pair<std::string, std::string>("Retry-After", "10")) == 1;
      (r.status == 200 ? served : refused) += r.status == 200 || (r.status == 503 && says_when);
    });
  for (std::thread& t : askers) t.join();
  EXPECT_EQ(served, 2);
  EXPECT_EQ(refused, 18);
}

}  // namespace
}  // namespace stray
