#include "scene.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>

namespace truth {

// own.*: in the waiter's frame. ref.*: elsewhere, and the waiter refers to it. The others: the waiter holds what cannot wake it.
const std::vector<std::string> kinds = {"own.chan", "own.sem", "own.wg", "ref.sem", "ref.chan", "recv",
                                        "send",     "select",  "ctx",    "mutex",   "rw",       "chain"};
const std::vector<std::string> wheres = {"go", "thread", "fiber.malloc", "fiber.mmap", "big"};
const std::vector<std::string> ats = {"malloc", "pool", "pmr", "mmap", "large", "shm", "shm.out", "masked"};
const std::vector<std::string> asks = {"find", "likely", "why", "on_leak", "reclaim"};
const std::vector<std::string> noises = {"fanout", "churn", "plant", "fibers", "wakes", "threads", "locks", "handoff"};

namespace {

class dice {
 public:
  explicit dice(std::uint64_t seed) : random_(seed * 0x9e37'79b9'7f4a'7c15 + 1) {}
  unsigned below(unsigned n) { return static_cast<unsigned>(random_() >> 33) % n; }
  template <class T>
  const T& of(const std::vector<T>& all) {
    return all[below(static_cast<unsigned>(all.size()))];
  }

 private:
  std::mt19937_64 random_;
};

item make_item(dice& d, const choice& from) {
  item i;
  for (int tries = d.below(3) != 0 ? 10 : 1; tries > 0 && (i.kind.empty() || !leads_to_block(i.kind)); tries--)
    i.kind = d.of(from.kinds);
  i.where = d.below(2) == 0 ? from.wheres[0] : d.of(from.wheres);
  i.at = i.kind.starts_with("own.") ? "frame" : d.below(2) == 0 ? from.ats[0] : d.of(from.ats);
  if (i.at == "masked" && leads_to_block(i.kind)) i.at = from.ats[0];
  i.links = d.below(2) == 0 ? 0 : d.below(4);
  i.packed = d.below(4) == 0 && i.links != 0 && from.packed_links;
  i.mover = d.below(2) == 0 ? "thread" : "go";
  i.leak = d.below(2) == 0 ? 0 : d.below(3) * 30;
  for (unsigned n = 1 + d.below(4); n > 0; n--) {
    bool hidden = !from.hidden.empty() && !leads_to_block(i.kind) && d.below(6) == 0;
    i.via.push_back(d.of(hidden || from.places.empty() ? from.hidden : from.places));
  }
  return i;
}

asker make_asker(dice& d, const choice& from) {
  return {d.below(2) == 0 ? from.asks[0] : d.of(from.asks), d.below(3) == 0 ? "go" : "thread",
          d.below(2) == 0 ? 0 : d.below(5000)};
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);) parts.push_back(part);
  return parts;
}

void print_item(std::ostream& out, const item& i) {
  out << "item kind=" << i.kind << " where=" << i.where << " at=" << i.at << " links=" << i.links << " packed=" << i.packed
      << " mover=" << i.mover << " leak=" << i.leak << " via=";
  for (std::size_t n = 0; n < i.via.size(); n++) out << (n == 0 ? "" : ",") << i.via[n];
}

}  // namespace

scene make_scene(std::uint64_t seed, const choice& from) {
  dice d(seed);
  scene s;
  s.seed = seed;
  s.procs = 1u << d.below(3);
  s.ms = 60 + d.below(4) * 60;
  bool small = d.below(4) == 0;
  for (unsigned n = small ? 1 : 1 + d.below(5); n > 0; n--) s.items.push_back(make_item(d, from));
  for (unsigned n = small ? 1 : 1 + d.below(3); n > 0; n--) s.askers.push_back(make_asker(d, from));
  for (unsigned n = small ? d.below(2) : d.below(4); n > 0 && !from.noises.empty(); n--) s.noises.push_back(d.of(from.noises));
  auto has = [](const std::vector<std::string>& all, const char* name) {
    return std::count(all.begin(), all.end(), name) != 0;
  };
  if (d.below(5) == 0 && has(from.asks, "reclaim") && has(from.noises, "plant")) {
    // Records that are used again, and seldom more than one candidate: what was proven once is asked for only then.
    if (d.below(2) == 0) {
      s.procs = 1;
      s.ms = 300;
      s.items.resize(1);
      item& i = s.items[0];
      i.mover = "go";
      i.where = from.wheres[0];
      i.leak = 0;
      i.packed = false;
      for (const char* name : {"register.rbx", "frame.spin", "go.frame"}) {
        if (has(from.places, name)) i.via.push_back(name);
      }
      s.askers.clear();
      s.noises = has(from.noises, "fanout") ? std::vector<std::string>{"fanout"} : std::vector<std::string>{};
    }
    s.askers.push_back({"reclaim", "thread", 1000 + d.below(6000)});
    s.noises.push_back("plant");
  }
  return s;
}

std::vector<scene> cover(const choice& from) {
  std::vector<scene> all;
  constexpr std::size_t a_scene = 6;
  std::vector<std::string> leading, others;
  for (const std::string& k : from.kinds) (leads_to_block(k) ? leading : others).push_back(k);
  auto add = [&](const std::vector<std::string>& places, const std::vector<std::string>& among) {
    for (std::size_t next = 0; next < places.size() && !among.empty();) {
      std::uint64_t n = all.size();
      dice d(n + 1);
      scene s;
      s.seed = n + 1;
      s.procs = 1u << (n % 3);
      s.ms = 120;
      for (std::size_t end = std::min(next + a_scene, places.size()); next < end; next++) {
        item i = make_item(d, from);
        i.kind = among[next % among.size()];
        if (leads_to_block(i.kind)) i.where = next % 5 == 4 ? from.wheres.back() : from.wheres[0];
        i.at = i.kind.starts_with("own.") ? "frame" : from.ats[next % from.ats.size()];
        if (i.at == "masked" && leads_to_block(i.kind)) i.at = from.ats[0];
        i.leak = next % 3 == 0 ? 30 : 0;
        i.via = {places[next]};
        if (next % 3 == 1 && !from.places.empty()) i.via.push_back(from.places[0]);
        s.items.push_back(i);
      }
      s.askers = {{from.asks[0], "thread", 1000}, {from.asks[n % from.asks.size()], "go", 2000}};
      if (!from.noises.empty()) s.noises = {from.noises[n % from.noises.size()]};
      all.push_back(s);
    }
  };
  add(from.places, leading);
  std::vector<std::string> both = from.places;
  both.insert(both.end(), from.hidden.begin(), from.hidden.end());
  add(both, others);
  return all;
}

std::string print(const scene& s, const char* separator) {
  std::ostringstream out;
  out << "play procs=" << s.procs << " ms=" << s.ms << " seed=" << s.seed;
  for (const item& i : s.items) {
    out << separator;
    print_item(out, i);
  }
  for (const asker& a : s.askers) out << separator << "asker what=" << a.what << " where=" << a.where << " pause=" << a.pause;
  for (const std::string& n : s.noises) out << separator << "noise what=" << n;
  return out.str();
}

scene parse(const std::string& text) {
  scene s;
  std::string lines = text;
  std::replace(lines.begin(), lines.end(), ';', '\n');
  for (const std::string& line : split(lines, '\n')) {
    std::istringstream in(line);
    std::string what, pair;
    if (!(in >> what)) continue;
    std::map<std::string, std::string> given;
    while (in >> pair) {
      std::size_t at = pair.find('=');
      if (at == std::string::npos) throw std::runtime_error("no key=value: " + pair);
      given[pair.substr(0, at)] = pair.substr(at + 1);
    }
    auto text_of = [&](const char* key) {
      auto at = given.find(key);
      if (at == given.end()) throw std::runtime_error("'" + line + "' lacks " + key);
      return at->second;
    };
    auto number = [&](const char* key) { return static_cast<unsigned>(std::stoul(text_of(key))); };
    if (what == "play") {
      s.procs = number("procs");
      s.ms = number("ms");
      s.seed = std::stoull(text_of("seed"));
    } else if (what == "item") {
      s.items.push_back({text_of("kind"), text_of("where"), text_of("at"), text_of("mover"), number("links"),
                         number("packed") != 0, number("leak"), split(text_of("via"), ',')});
    } else if (what == "asker") {
      s.askers.push_back({text_of("what"), text_of("where"), number("pause")});
    } else if (what == "noise") {
      s.noises.push_back(text_of("what"));
    } else {
      throw std::runtime_error("a scene has no '" + what + "'");
    }
  }
  return s;
}

}  // namespace truth
