// A stream's reader waits for the next message. Its client closes the stream without sending the last one, waits for the reader until it
// has lost its patience, and goes: nobody else has the stream.
// expect: 1 RecvBufferReader::read [chan receive] proven @read
// go: required
#include <memory>

#include "report.hpp"

struct RecvBufferReader {
  stray::chan<bool> recv = stray::make_chan<bool>();
  void read() {
    recv.recv();  // here: read
  }
};

struct Stream {
  RecvBufferReader reader;
  void read() { reader.read(); }
};

struct Http2Client {
  std::shared_ptr<Stream> new_stream() { return std::make_shared<Stream>(); }
  void close_stream(Stream&) {}
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
  stray::testing::until_parked(2);
  clock.advance(std::chrono::nanoseconds(300));
  while (stray::num_goroutine() > 2) stray::yield();
}

int main() {
  stray::wait_group scene;
  scene.go(start);  // so that nothing of it is left on main's stack
  scene.wait();
  return report::print();
}
