// Leaks as failures of GoogleTest (1.10 or later). Link stray::gtest; not part of <stray/stray.hpp>.
//
//   int main(int argc, char** argv) {
//     testing::InitGoogleTest(&argc, argv);
//     stray::testing::install_leak_check();
//     return RUN_ALL_TESTS();
//   }
//
// Whose leak it is: while a test runs, its thread has the labels gtest.test=SUITE.NAME and gtest.run=N (stray::pprof::labels), and goroutines
// inherit them, however late and deep they are started, and whatever other test runs by then. What SetUpTestSuite starts belongs to its suite.
// An OS thread that a test starts inherits nothing; what it starts is said at the end of the run, as started by no test.
// Including this header is what labels the tests; they are labelled from the next one on.
#pragma once

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include <stray/leak.hpp>

#pragma GCC visibility push(default)

namespace stray::testing {

struct leak_check_options {
  // A file of known leaks that fail no test, one a line, with the day after which they do and the reason:
  //   2027-01-31  acme::client::pump*  # ACME-12: the vendor's client never closes its channel
  // The pattern (* any text, ? any character, to the end of the line or " #") is compared with each function of the leak's stack and with
  // the one that started it. Empty lines and such that begin with # are skipped.
  std::string allow_file;
  leak::tier min_tier = leak::tier::cycle;
  std::chrono::nanoseconds settle =
      std::chrono::milliseconds(100);  // wait so long for goroutines that still run before they are looked at
  // Where the check cannot see leaks (another allocator, no snapshots), say so in one line instead of failing the run.
  bool allow_blind = false;
};

// From the next test on, every test fails on a leak that it started itself, once it has ended and its fixture is gone; so does a suite for
// what its SetUpTestSuite started. What is proven later, when its test is over, and what no test started fails the run at its end, under its
// test's name. Before the first check a leak is planted, found and reclaimed: if it is not found, the run fails, for then a silent check
// proves nothing. With AddressSanitizer or ThreadSanitizer nothing can be proven: one line on stderr says so, and nothing is checked.
// Costs a detection a test with goroutines at its end: some milliseconds; where none are left, nothing.
// In main, before RUN_ALL_TESTS; a second call replaces the options. Throws std::invalid_argument for an allow_file that cannot be read, with
// its line and what is wrong there.
void install_leak_check(const leak_check_options& o = {});

// Now, for the goroutines that the running test has started (in a suite's or the program's set-up: for those): success, or a failure whose
// message has each of their leaks; the same leak fails a test once. Blocks for a detection. Any goroutine or OS thread may call it.
::testing::AssertionResult no_leaks();

namespace detail {
bool label_tests();
inline const bool tests_are_labelled = label_tests();
}  // namespace detail

}  // namespace stray::testing

#pragma GCC visibility pop

// The test goes on after EXPECT_, and returns from the function after ASSERT_. Channels that are still in scope here may be used yet, so who
// waits on them is no leak.
#define EXPECT_NO_LEAKS() EXPECT_TRUE(::stray::testing::no_leaks())
#define ASSERT_NO_LEAKS() ASSERT_TRUE(::stray::testing::no_leaks())
