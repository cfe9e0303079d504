// The head of an HTTP/1.0 or 1.1 request (RFC 9112), read strictly: what is not plainly one is refused. Pure.
//
// 1. Refused: a target that does not begin with "/", white space or controls where they do not belong, a folded line, a name that is no
//    token, a second Host, lengths that are no numbers or contradict each other.
// 2. Lines may end with CRLF or LF (section 2.2), so that a request typed by hand is answered.
//
// Rejected: cpp-httplib. Its inline functions are weak symbols: a program that brings another version of it, as most do, made ours call the
// program's, and crashed at the first request; and it linked OpenSSL and brotli into every program.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stray::serve {

struct request_head {
  std::string_view method, target;
  std::vector<std::pair<std::string_view, std::string_view>> fields;  // names as they were sent
  bool keep_alive = false;                                            // the client wants to send another one
  bool has_body = false;  // or may have one by somebody else's reading: any length but one "0", any Transfer-Encoding

  // The first field of that name, whatever its case; empty when absent.
  std::string_view field(std::string_view name) const noexcept;
};

// How many bytes the head at the beginning of `bytes` has, its empty line included; 0: it is not complete.
std::size_t head_size(std::string_view bytes) noexcept;

// 200, or the status to answer with: 400, 505. `out` points into `head`.
int parse_head(std::string_view head, request_head& out);

}  // namespace stray::serve
