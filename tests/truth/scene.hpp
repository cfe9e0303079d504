// A scene: what one process of the truth fuzzer plays. Made from a seed, printed as text, read from text.
//
// The text is the scene: one element a line (or behind a `;`), `key=value` in any order. What a seed does not decide is the machine's timing.
//   play procs=2 ms=150 seed=7
//   item kind=own.chan where=go at=frame links=1 packed=0 mover=thread leak=0 via=heap,reg.rbx
//   asker what=find where=thread pause=500
//   noise what=fanout
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace truth {

extern const std::vector<std::string> kinds, wheres, ats, asks, noises;

struct item {  // lives one after the other: a waiter, and the only pointer to what wakes it, which travels along `via`
  std::string kind, where, at, mover;
  unsigned links = 0;  // blocks between the pointer in the place and the object
  bool packed = false;
  unsigned leak = 0;  // so many of 100 lives are dropped instead of woken
  std::vector<std::string> via;
};
struct asker {
  std::string what, where;
  unsigned pause = 0;  // microseconds
};
struct scene {
  std::uint64_t seed = 1;  // of the choices while it plays
  unsigned procs = 2, ms = 100;
  std::vector<item> items;
  std::vector<asker> askers;
  std::vector<std::string> noises;
};

struct choice {  // what a scene may be made of
  std::vector<std::string> places,
      hidden;  // names; hidden: not seen, so only for those who do not lead to the block themselves
  std::vector<std::string> kinds = truth::kinds, wheres = truth::wheres, ats = truth::ats, asks = truth::asks,
                           noises = truth::noises;
  bool packed_links = true;
};
// Does the waiter itself lead to the block? Then a place which is not seen makes a wrong verdict, and not a likely one (ORPHAN).
inline bool leads_to_block(const std::string& kind) { return kind.starts_with("own.") || kind.starts_with("ref."); }

scene make_scene(std::uint64_t seed, const choice& from);
// All of from.places, each once, in few scenes.
std::vector<scene> cover(const choice& from);
std::string print(const scene& s, const char* separator = "\n");
scene parse(const std::string& text);  // throws std::runtime_error with what is wrong

}  // namespace truth
