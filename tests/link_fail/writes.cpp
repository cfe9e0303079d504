// Strings go to it and come back.
#include <string>

#include <stray/pprof.hpp>

int main() { return stray::pprof::handle("GET", std::string("/debug/pprof/")).status; }
