// What the shared library that holds stray offers to a program that does not know stray.
#pragma once

extern "C" {
long plugin_sum(long n);           // 1 + ... + n, added up by goroutines
long plugin_strict_sum(long n);    // the same, in the unit without exceptions
void plugin_leave_waiting(void);   // one leaked goroutine, and some that only the library's own variables keep alive
void plugin_report(void);          // prints the leaks
unsigned long plugin_ticks(void);  // counted by a goroutine, from the first call on
int plugin_releases(
    int of_this_thread);  // the waiters of the static (0) or thread_local (1) handle get their value; how many they were
}
