// The door: an HTTP server on OS threads of its own, which works when every worker of the scheduler is stuck.
//
// 1. One listener and four request threads, named "stray-http"; all signals blocked in them but the synchronous ones and SIGPROF, so that
//    they never take a signal meant for the program.
// 2. Every wait ends by itself: a request's head has 10 s in all, or half a one when others wait, each read and write 5 s, an idle connection 5 s. Who has
//    sent nothing holds no thread, whose head is not whole comes after those whose is, who has been answered goes to the end of the line.
// 3. A head is at most 32 KiB; bodies are not read; at most 64 connections wait, and a quarter of RLIMIT_NOFILE is taken in all. For a further
//    one the oldest that has sent nothing for 50 ms is closed, or else one without a whole head; where there is none it waits in the kernel's queue.
// 4. The destructor joins all threads; a request in progress ends its own collection, its waiting ends at once.
// 5. A request was sent no later than `sent_ns` says: of one that waited for a thread that is when its first bytes were seen.
// 6. Neither its threads nor what it stands in leads to anything of the user's: service threads, no container, zeroed memory (a block that the
//    program has freed would show its old words).
// 7. In the child of a fork its threads do not exist, and its sockets are closed before fork() returns: port and connections are the parent's. When
//    the runtime starts there, the child binds the same address anew, if the process that served has ended by then or within 5 s (daemon());
//    until then clients are refused. Destroying the object there leaves the parent's alone; a unix socket's file is removed by who has bound it.
// 8. Who may ask: gate.h. Its descriptors are 64 and above where the limit allows. When the program closes them it says so and ends; it neither
//    spins nor takes what has the number by then for its own.
// 9. The processor time of its threads is paid to the budget; when that is used up each of them rests after its work (budget.h 3).
// Any thread may construct and destroy it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "serve/budget.h"
#include "serve/routes.h"

namespace stray::serve {

struct request {
  std::string_view method, target;
  std::int64_t sent_ns;  // base::now_ns
  const wait_function& wait;
};
using handler = std::function<response(const request&)>;

class http_server {
 public:
  // Throws std::system_error with a hint when it cannot bind. Warns on stderr when others than this machine can reach it.
  // paid: what reading and sending takes; `answer` pays for itself. nullptr: nobody counts.
  http_server(std::string_view address, handler answer, budget* paid = nullptr);
  ~http_server();
  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  int port() const noexcept;
  static void take_over_all() noexcept;  // by the runtime when it has started: see 7

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace stray::serve
