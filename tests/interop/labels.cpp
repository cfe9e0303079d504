// Leaks under labels: inherited, nested, replaced, of a goroutine's goroutine, restored at the end. The line `// labels: KEY=VALUE ...` of a wait
// is what a profile must say of it; labels.py compares. A goroutine's name is a label, too.
#include <iostream>
#include <string>

#include <stray/stray.hpp>
#include <stray/testing/control.hpp>

namespace {

[[gnu::noinline]] void buy() {
  stray::make_chan<int>().recv();  // labels: route=/buy tenant=acme
}
[[gnu::noinline]] void sell() {
  stray::make_chan<int>().recv();  // labels: route=/sell tenant=acme
}
[[gnu::noinline]] void audit() {
  stray::make_chan<int>().recv();  // labels: route=/sell step=a\ "quoted"\ one tenant=acme
}
[[gnu::noinline]] void accept() {
  stray::make_chan<int>().recv();  // labels: name=acceptor
}
[[gnu::noinline]] void accepted() {
  stray::make_chan<int>().recv();  // labels: step=read
}
[[gnu::noinline]] void outside() {
  stray::make_chan<int>().recv();  // labels:
}

}  // namespace

int main() {
  int answer = stray::pprof::labels({{"tenant", "acme"}, {"route", "/buy"}}, [] {
    stray::go(buy);
    stray::pprof::labels({{"route", "/sell"}}, [] {
      stray::go([] {
        stray::go(sell);
        stray::pprof::labels({{"step", "a \"quoted\" one"}}, [] { stray::go(audit); });
        stray::go(sell);
      });
    });
    return 42;
  });
  stray::go(outside);
  stray::go({.name = "acceptor"}, [] {
    stray::pprof::labels({{"step", "read"}}, [] { stray::go(accepted); });  // without the name
    accept();
  });
  stray::testing::until_parked(7);
  std::cout << "ready " << answer << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
  }
}
