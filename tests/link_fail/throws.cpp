// Only primitives, whose panics carry a string.
#include <stray/wait_group.hpp>

int main() {
  stray::wait_group group;
  group.go([] {});
  group.wait();
}
