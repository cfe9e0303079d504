// A dial ends without a connection and forgets to close it. The goroutine that sets it up waits for the end of its context, and the only
// ones that could cancel it are in the connection, which nobody else has.
// expect: 1 AddrConn::reset_transport [chan receive] proven @done
// go: required
// cause: nothing alive holds a handle that could wake it
#include <memory>
#include <vector>

#include "report.hpp"

struct ClientConn;

struct AddrConn {
  std::shared_ptr<ClientConn> cc;
  stray::context ctx;
  stray::cancel_func cancel;

  void reset_transport() {
    auto [connecting, stop_connecting] = stray::with_timeout(ctx, std::chrono::nanoseconds(10));
    stop_connecting();
    ctx.done().recv();  // here: done
  }
  void tear_down() { cancel(); }
};

struct ClientConn : std::enable_shared_from_this<ClientConn> {
  stray::context ctx;
  stray::cancel_func cancel;
  std::vector<std::shared_ptr<AddrConn>> conns;

  void reset_addr_conn() {
    auto [addr_ctx, addr_cancel] = stray::with_cancel(ctx);
    conns.push_back(std::make_shared<AddrConn>(AddrConn{shared_from_this(), addr_ctx, addr_cancel}));
    conns.back()->reset_transport();
  }
  void close() {
    cancel();
    for (const auto& ac : std::exchange(conns, {})) ac->tear_down();
  }
};

std::shared_ptr<ClientConn> dial_context(const stray::context& ctx) {
  auto cc = std::make_shared<ClientConn>();
  std::shared_ptr<ClientConn> conn;  // stays empty: the dial fails
  auto [own, cancel] = stray::with_cancel(stray::background());
  cc->ctx = own;
  cc->cancel = cancel;
  stray::go([cc] { cc->reset_addr_conn(); });
  stray::testing::until_parked(1);
  if (ctx.err() && conn != nullptr) conn->close();
  return conn;
}

void start() {
  auto [ctx, cancel] = stray::with_cancel(stray::background());
  cancel();
  dial_context(ctx);
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
