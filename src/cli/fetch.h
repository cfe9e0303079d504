// Where profiles come from: endpoints, processes, files.
#pragma once

#include <chrono>
#include <string>

namespace stray::cli {

// limit: for all of it but the lookup of a host's name. What comes has at most most_bytes (profile.h).
//
// For every request from now on: the token of the endpoints' STRAY_PPROF_TOKEN. Before the first.
void use_token(std::string token);

// A target is http://HOST:PORT, HOST:PORT, :PORT or unix:/path of an endpoint (also with the path of a profile), the PID of a process of this machine that
// has one, or a file with a saved profile. Throws std::runtime_error that says what was tried.
std::string fetch_profile(const std::string& target, std::chrono::seconds limit);
// As it may be printed: http://name:xxxxx@HOST, as Go prints it.
std::string without_password(const std::string& target);
// What /debug/stray/why answers for a goroutine. Not for files.
std::string fetch_why(const std::string& target, const std::string& id, std::chrono::seconds limit);
// What /debug/stray/longest answers. Not for files.
std::string fetch_longest(const std::string& target, std::chrono::seconds limit);

}  // namespace stray::cli
