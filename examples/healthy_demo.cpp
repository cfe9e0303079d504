// The healthy twin of leak_demo: the channel is closed, so the goroutine ends and the profile is empty.
//
//   healthy_demo [ADDRESS]   default: STRAY_DEMO_ADDRESS, or localhost:6060; port 0 takes any free one
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>

#include <stray/stray.hpp>

// The goroutine waits until the channel is closed.
void create_goroutine() {
  auto ch = stray::make_chan<int>();
  stray::go([ch] {
    std::cout << "goroutine " << stray::goroutine_id() << " waits for a value" << std::endl;
    ch.recv();
  });
  ch.close();  // <- the line that mends it
}

int main(int argc, char** argv) {
  // Blocked before any thread starts, so that sigwait below gets them.
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGINT);
  sigaddset(&stop_signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);

  const char* from_environment = std::getenv("STRAY_DEMO_ADDRESS");
  std::string address = argc > 1 ? argv[1] : from_environment != nullptr ? from_environment : "localhost:6060";
  std::string host = address.substr(0, address.rfind(':'));
  try {
    auto server = stray::pprof::serve(address);
    std::cout << "go tool pprof http://" << host << ':' << server.port() << "/debug/pprof/goroutineleak" << std::endl;
    create_goroutine();  // last: it prints, too

    int signal = 0;
    sigwait(&stop_signals, &signal);
    std::cout << "shutting down" << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "healthy_demo: " << error.what() << std::endl;
    return 1;
  }
  return 0;
}
