// What ordinary code does with channel handles; handle_test.cpp steps through each.
#pragma once

#include <algorithm>
#include <any>
#include <array>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <stray/chan.hpp>

namespace handle_shapes {

using chan = stray::chan<int>;
using send_chan = stray::send_chan<int>;
using recv_chan = stray::recv_chan<int>;

inline volatile long sink = 0;
[[gnu::noinline]] inline void use(const chan& c) { sink = sink + static_cast<long>(c.cap()); }
[[gnu::noinline]] inline void use_send(const send_chan& c) { sink = sink + static_cast<long>(c.cap()); }
[[gnu::noinline]] inline void use_recv(const recv_chan& c) { sink = sink + static_cast<long>(c.cap()); }
[[gnu::noinline]] inline chan pass(chan c) {
  use(c);
  return c;
}
[[gnu::noinline]] inline void eat(chan c) { use(c); }
[[gnu::noinline]] inline void eat_send(send_chan c) { use_send(c); }
[[gnu::noinline]] inline void eat_recv(recv_chan c) { use_recv(c); }
template <class F>
[[gnu::noinline]] void call(F f) {
  f();
}

struct pipe {
  recv_chan in;
  send_chan out;
  std::string name;
};
struct deep {
  pipe first;
  std::vector<chan> more;
};

// A shape gets a handle that it may use up. It leaves no handle behind.
struct shape {
  const char* name;
  void (*run)(chan& c);
};
inline void PrintTo(const shape& s, std::ostream* out) { *out << s.name; }  // GoogleTest's
inline const std::vector<shape> all = {
    {"copy",
     [](chan& c) {
       chan d = c;
       use(d);
     }},
    {"move_and_back",
     [](chan& c) {
       chan d = std::move(c);
       use(d);
       c = std::move(d);
     }},
    {"assign",
     [](chan& c) {
       chan a, b = c, &same = b;
       a = b, b = same, b = std::move(same), b = a, a = std::move(b), b = std::move(a);
       use(b);
     }},
    {"by_value", [](chan& c) { c = pass(std::move(c)), eat(c), eat(pass(c)); }},
    {"swap",
     [](chan& c) {
       chan a = c, b;
       std::swap(a, b), std::swap(a, b);
       use(b);
     }},
    {"rotate_and_reverse",
     [](chan& c) {
       chan t[5] = {c, chan(), c, c, chan()};
       std::rotate(t, t + 2, t + 5);
       std::reverse(t, t + 5);
       std::stable_partition(t, t + 5, [](const chan& x) { return static_cast<bool>(x); });
       use(t[0]);
     }},
    {"vector",
     [](chan& c) {
       std::vector<chan> v;
       for (int i = 0; i < 9; i++) v.push_back(c);
       v.erase(v.begin());
       v.insert(v.begin() + 2, c);
       v.insert(v.begin(), 3, c);
       v.resize(20);
       v.shrink_to_fit();
       std::vector<chan> w = v, x = std::move(v);
       for (const chan& y : x) use(y);
     }},
    {"deque_and_list",
     [](chan& c) {
       std::deque<chan> d(5, c);
       d.push_back(c), d.push_front(c);
       d.pop_front();
       std::list<chan> l(d.begin(), d.end());
       l.splice(l.begin(), l, std::prev(l.end()));
       use(l.front());
     }},
    {"map",
     [](chan& c) {
       std::map<int, chan> m;
       m[1] = c;
       m[2] = std::move(m[1]);
       m.erase(1);
       m.try_emplace(3, c);
       auto node = m.extract(3);
       node.key() = 4;
       m.insert(std::move(node));
       use(m[4]);
     }},
    {"unordered_map",
     [](chan& c) {
       std::unordered_map<int, pipe> m;
       for (int i = 0; i < 20; i++) m[i] = pipe{c, c, "n"};
       m.erase(7);
       use_recv(m[3].in);
     }},
    {"optional",
     [](chan& c) {
       std::optional<chan> o;
       o = c;
       o.reset();
       o.emplace(c);
       auto p = std::move(o);
       o = std::nullopt;
       o.swap(p);
       use(*o);
     }},
    {"variant",
     [](chan& c) {
       std::variant<int, chan, send_chan> v = c;
       v = 3;
       v = send_chan(c);
       auto w = std::move(v);
       v = c;
       v.swap(w);
       sink = static_cast<long>(v.index());
     }},
    {"any",
     [](chan& c) {
       std::any a = c, b = a;
       a.reset();
       a = std::move(b);
       use(std::any_cast<chan&>(a));
     }},
    {"function",
     [](chan& c) {
       std::function<void()> f = [c] { use(c); };
       auto g = f;
       g();
       auto h = std::move(f);
       f = g;
       h();
     }},
    {"function_argument",
     [](chan& c) {
       std::function<chan(chan, recv_chan)> f = [](chan a, recv_chan b) {
         use_recv(b);
         return a;
       };
       use(f(c, c));
     }},
    {"nested_lambdas",
     [](chan& c) { call([c = std::move(c)]() mutable { call([d = std::move(c)] { call([d] { use(d); }); }); }); }},
    {"smart_pointers",
     [](chan& c) {
       auto p = std::make_unique<chan>(c);
       auto q = std::make_shared<chan>(std::move(*p));
       std::weak_ptr<chan> w = q;
       eat(*w.lock());
       auto r = std::make_unique<chan[]>(3);
       r[1] = *q;
       q.reset();
       use(r[1]);
     }},
    {"exception",
     [](chan& c) {
       try {
         chan d = c;
         recv_chan e = d;
         if (sink >= 0) throw std::string("thrown past two handles");
         use_recv(e);
       } catch (const std::string&) {
         eat(c);
       }
     }},
    {"exception_that_carries",
     [](chan& c) {
       try {
         throw pipe{c, c, "in the exception object"};
       } catch (pipe& p) {
         use_recv(p.in);
       }
     }},
    {"exception_rethrown",
     [](chan& c) {
       try {
         try {
           chan d = c;
           throw d;
         } catch (chan& d) {
           chan e = std::move(d);
           throw;
         }
       } catch (const chan& d) {
         use(d);
       }
     }},
    {"tuple",
     [](chan& c) {
       auto t = std::make_tuple(c, 1, std::string("long enough to lie on the heap"), recv_chan(c));
       auto [x, y, z, w] = std::move(t);
       use(x);
       use_recv(w);
       auto u = std::tuple_cat(std::make_tuple(x), std::tie(w));
       use(std::get<0>(u));
     }},
    {"pair_and_tie",
     [](chan& c) {
       chan a;
       send_chan b;
       std::tie(a, b) = std::pair<chan, send_chan>(c, c);
       use_send(std::exchange(b, send_chan()));
     }},
    {"struct",
     [](chan& c) {
       pipe a{c, c, "long enough to lie on the heap"};
       pipe b = a, d = std::move(a);
       a = b;
       b = std::move(d);
       use_recv(b.in);
       deep e{b, {c, c}};
       deep f = std::move(e);
       e = f;
       use_send(e.first.out);
     }},
    {"narrowing",
     [](chan& c) {
       send_chan s = c;
       recv_chan r = c;
       eat_send(c), eat_recv(c), eat_send(s), eat_recv(std::move(r));
       s = c, r = c;
       std::vector<recv_chan> v{c, r};
       v.emplace_back(c);
       use_recv(v.back());
     }},
    {"nil",
     [](chan& c) {
       for (int i = 0; i < 4; i++) {
         chan d = i & 1 ? chan() : c;
         eat(d), eat(std::move(d)), eat(d);
         recv_chan r = d;
         r = i & 2 ? recv_chan(c) : recv_chan();
         d = chan();
       }
     }},
    {"sort",
     [](chan& c) {
       std::vector<std::pair<int, chan>> v;
       for (int i = 0; i < 12; i++) v.emplace_back(i * 7 % 12, c);
       std::sort(v.begin(), v.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
       v.erase(std::remove_if(v.begin(), v.end(), [](const auto& a) { return a.first & 1; }), v.end());
       use(v[0].second);
     }},
    {"channel_of_channels",
     [](chan& c) {
       auto outer = stray::make_chan<chan>(2);
       outer.send(c);
       outer.send(std::move(c));
       c = *outer.recv();
       use(c);
     }},
    {"used_up", [](chan& c) { chan d = std::move(c); }},
};

}  // namespace handle_shapes
