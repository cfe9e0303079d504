// Who may ask: what a request's head says of where it comes from. Pure, but for the environment's list of names. And the headers with which
// every answer is sent, so that no other site's page can show or read it.
//
// 1. On a loopback listener Host is an IP address, localhost, *.localhost, the name that was given to serve on, one of STRAY_PPROF_HOSTS (names
//    with commas between them; "*": any), or missing. A name that another site had resolved to 127.0.0.1 (DNS rebinding) is none of these.
// 2. With STRAY_PPROF_TOKEN set a request must have `Authorization: Bearer TOKEN`, or Basic with the token as its password, which a browser and
//    `go tool pprof http://x:TOKEN@HOST/...` can send. How long the comparison takes tells nothing of the token.
// 3. Nowhere is a request served that a browser says another site has caused: Sec-Fetch-Site: cross-site, or an Origin that is not the Host.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "serve/collector.h"
#include "serve/request_head.h"

namespace stray::serve {

// Nothing when it may be answered; else what to answer: one line that says what to do.
std::optional<response> turned_away(const request_head& head, bool loopback, std::string_view served_as,
                                    std::string_view allowed_hosts);

// Nothing when the token is there, or none is wanted; else a 401.
std::optional<response> without_token(const request_head& head, std::string_view token);

// Those of every answer; one that is there already stays.
void add_guard_headers(response& r);

}  // namespace stray::serve
