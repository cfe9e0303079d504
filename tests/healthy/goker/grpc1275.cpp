// To close a stream sends its reader the last message.
// expect: nothing
#include <memory>

#include "report.hpp"

struct RecvBufferReader {
  stray::chan<bool> recv = stray::make_chan<bool>();
  void read() { recv.recv(); }
};

struct Stream {
  RecvBufferReader reader;
  void read() { reader.read(); }
};

struct Http2Client {
  std::shared_ptr<Stream> new_stream() { return std::make_shared<Stream>(); }
  void close_stream(Stream& s) { s.reader.recv.send(true); }
};

void test_inflight_stream_closing() {
  Http2Client client;
  auto stream = client.new_stream();
  auto done = stray::make_chan<void>();
  stray::go([stream, done] {
    stream->read();
    done.close();
  });
  stray::testing::until_parked(1);
  client.close_stream(*stream);
  stray::timer patience(std::chrono::nanoseconds(300));
  stray::select(stray::on_recv(done), stray::on_recv(patience.channel()));
}

void start() {
  stray::testing::fake_clock clock;
  stray::go(test_inflight_stream_closing);
  while (stray::num_goroutine() > 1) stray::yield();
}

int main() {
  stray::wait_group scene;
  scene.go(start);
  scene.wait();
  report::until_finished();
  return report::print();
}
