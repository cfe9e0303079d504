// Lines of the program's source files, as its debug information names them. Whoever can write at such a path decides what lies there now, and a
// page shows it to others: so a file is taken for source only if it cannot be somebody else's trick.
//
// 1. An absolute path of a regular file of at most 8 MB which belongs to root or to this process's user, and which nobody else may write to.
// 2. A symbolic link on the way, the last name included, is followed if root or this process's user made it. So a build path below
//    /home -> /usr/home works, and a link that another user puts there leads nowhere.
// 3. Nothing is read in a program that runs with other rights than its caller's (setuid, setgid, capabilities), or with STRAY_SOURCE=off.
// 4. No open blocks (a FIFO, a terminal), no more is read than the file's size when it was opened, lines are cut at 1 KB. A file system that
//    hangs holds the caller: never call it on the detector's thread.
// 5. A file that is there and is refused is told with the reason; one that is not there, as on most servers, is passed over in silence.
//
// Rejected: openat2 with RESOLVE_NO_SYMLINKS: below a linked folder every excerpt would be missing.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace stray::serve {

struct source_lines {
  std::map<int, std::string> lines;  // by number, from 1; empty: there is no such file, or it is refused
  std::string refused;               // why; empty: it is not
};
source_lines read_source(const std::string& path, const std::set<int>& wanted);

// See 3. Reads the environment at its first call.
bool sources_are_shown() noexcept;

// Where lines of a file shall be inserted into a text: those around `line`.
struct excerpt_place {
  std::size_t at = 0;  // offset; ascending from place to place
  std::string file;
  int line = 0;
};
// As HTML. Each file is read once; 64 MB in all.
std::string with_excerpts(const std::string& text, const std::vector<excerpt_place>& places);

}  // namespace stray::serve
