// A user's tests under the leak check: those whose name ends in `_leaks` leak and must fail, all others must pass (gtest_check.py). The suite
// `ten` has ten; the others are run one at a time.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>
#include <stray/testing/gtest.hpp>

namespace {

void receive_order(const stray::chan<int>& orders) { orders.recv(); }

// A goroutine of a goroutine, started when its test may be long over.
void start_in_turn(int depth) {
  if (depth > 0) {
    stray::go([depth] { start_in_turn(depth - 1); });
    return;
  }
  stray::chan<int> orders = stray::make_chan<int>();
  stray::go([orders] { receive_order(orders); });
}

TEST(ten, direct_leaks) {
  stray::chan<int> orders = stray::make_chan<int>();
  stray::go([orders] { receive_order(orders); });
}

TEST(ten, grandchild_leaks) { start_in_turn(3); }

TEST(ten, finishes) {
  stray::wait_group done;
  done.add(1);
  stray::go([&] { done.done(); });
  done.wait();
}

// Its goroutine ends long after it, while others run.
TEST(ten, sleeps_on) {
  stray::go([] { stray::sleep_for(std::chrono::milliseconds(30)); });
}

// Leaks of other tests are there meanwhile, and none of its own.
TEST(ten, looks_and_has_none) {
  stray::chan<int> orders = stray::make_chan<int>();
  stray::go([orders] { receive_order(orders); });
  EXPECT_NO_LEAKS();  // the channel is still ours
  orders.close();
}

TEST(ten, many_come_and_go) {
  for (int i = 0; i < 200; i++) stray::go([] { stray::yield(); });
}

TEST(ten, global_owner) {
  static stray::chan<int> orders = stray::make_chan<int>();
  stray::go([] { receive_order(orders); });
}

TEST(ten, labels_of_its_own) {
  stray::pprof::labels({{"gtest.note", "inner"}}, [] { stray::go([] {}); });
}

TEST(ten, nothing_at_all) {}

TEST(ten, three_leaks) {
  for (int i = 0; i < 3; i++) {
    auto orders = std::make_shared<stray::chan<int>>(stray::make_chan<int>());
    stray::pprof::labels({{"i", std::to_string(i)}}, [&] { stray::go([orders] { receive_order(*orders); }); });
  }
}

class fixture : public testing::Test {
 protected:
  stray::chan<int> orders_ = stray::make_chan<int>();
};
TEST_F(fixture, member_leaks) {
  stray::go([orders = orders_] { receive_order(orders); });
  EXPECT_NO_LEAKS();  // not yet
}

TEST(expect, now_leaks) {
  {
    stray::chan<int> orders = stray::make_chan<int>();
    stray::go([orders] { receive_order(orders); });
  }
  EXPECT_NO_LEAKS() << "once only";
  EXPECT_NO_LEAKS();
}

// Leaks after its own end, when another test lets go of the channel.
std::unique_ptr<stray::chan<int>> shared_orders;
TEST(late, opens) {
  shared_orders = std::make_unique<stray::chan<int>>(stray::make_chan<int>());
  stray::go([orders = *shared_orders] { receive_order(orders); });
}
TEST(late, drops) { shared_orders.reset(); }

class whole : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    stray::go([orders = stray::make_chan<int>()] { receive_order(orders); });
  }
};
TEST_F(whole, is_innocent) {}

TEST(thread, is_nobodys) {
  std::thread([] { stray::go([orders = stray::make_chan<int>()] { receive_order(orders); }); }).join();
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  stray::testing::leak_check_options o;
  if (const char* file = std::getenv("ALLOW")) o.allow_file = file;
  o.allow_blind = std::getenv("ALLOW_BLIND") != nullptr;
  try {
    stray::testing::install_leak_check(o);
  } catch (const std::invalid_argument& wrong) {
    std::fprintf(stderr, "%s\n", wrong.what());
    return 2;
  }
  return RUN_ALL_TESTS();
}
