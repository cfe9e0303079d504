// Bytes to gzip by zlib.
#include <stdexcept>

#include <zlib.h>

#include "profile/formats.h"

namespace stray::profile {

std::string gzip(std::string_view bytes) {
  z_stream stream{};
  constexpr int gzip_window = 15 + 16, memory_level = 8;
  // Level 1: a scrape should cost the program little; profiles are small and repeat themselves.
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, gzip_window, memory_level, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("stray: zlib has no memory for a profile");
  std::string out;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));  // zlib's input is not const by habit only
  std::size_t left = bytes.size();
  int status = Z_OK;
  while (status == Z_OK) {
    constexpr std::size_t step = std::size_t{1} << 30;
    if (stream.avail_in == 0 && left > 0) {
      stream.avail_in = static_cast<uInt>(left < step ? left : step);
      left -= stream.avail_in;
    }
    char buffer[16384];
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof buffer;
    status = deflate(&stream, left == 0 ? Z_FINISH : Z_NO_FLUSH);
    out.append(buffer, sizeof buffer - stream.avail_out);
  }
  deflateEnd(&stream);
  if (status != Z_STREAM_END) throw std::runtime_error("stray: zlib failed on a profile");
  return out;
}

}  // namespace stray::profile
