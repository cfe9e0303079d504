// Rule COUNT at every instruction: valid handle words in memory never outnumber the core's reference count.
//
// 1. Code that copies, moves, stores and destroys real handles is stepped one instruction at a time. At each one, the words whose check
//    value is right for their own address and some kind are counted in the live stack (from 128 bytes below the stack pointer) and in every
//    block of operator new: `located`. Above the count: unsound. Equal: the detector knows every reference. Below: it must be careful.
// 2. Between two shapes nothing is in flight, so located equals the count.
// 3. A core that has been given back (in_use is false) has no count to compare with, and no valid handle either.
// Printed: instructions stepped, and at how many of them the count was exact.
#include <algorithm>
#include <any>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <gtest/gtest.h>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <stray/chan.hpp>
#include "single_step.hpp"
#include "sync/chan_core.h"

namespace {

using std::uintptr_t;

// The blocks that the stepped code has from operator new. Written by the stepped thread, read in its trap handler: a block is entered before
// anything lies in it and leaves after everything has left it.
struct block {
  volatile uintptr_t at = 0;  // volatile: the handler sees the two stores in this order
  volatile std::size_t bytes = 0;
};
constinit block blocks[512]{};
constinit bool tracking = false;

void enter_block(void* at, std::size_t bytes) {
  for (block& b : blocks) {
    if (b.at != 0) continue;
    b.bytes = bytes & ~std::size_t{7};
    b.at = reinterpret_cast<uintptr_t>(at);
    return;
  }
  std::abort();
}
void leave_block(void* at) {
  for (block& b : blocks) {
    if (b.at == reinterpret_cast<uintptr_t>(at)) b.at = 0;
  }
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  void* at = std::malloc(bytes != 0 ? bytes : 1);
  if (at == nullptr) throw std::bad_alloc();
  if (tracking) enter_block(at, bytes);
  return at;
}
[[gnu::noinline]] void operator delete(void* at) noexcept {
  if (at == nullptr) return;
  leave_block(at);
  std::free(at);
}
[[gnu::noinline]] void operator delete(void* at, std::size_t) noexcept { operator delete(at); }

namespace {

using chan = stray::chan<int>;
using send_chan = stray::send_chan<int>;
using recv_chan = stray::recv_chan<int>;

std::uint64_t total = 0, total_exact = 0, total_over = 0;

// What is watched: one core, from one thread's stack up to `top`.
struct watch {
  stray::detail::chan_core* core;
  uintptr_t top;
  std::uint64_t exact = 0, over = 0, under = 0;

  bool valid(uintptr_t at) const noexcept {
    auto word = reinterpret_cast<uintptr_t>(core);
    const auto* pair = reinterpret_cast<const volatile uintptr_t*>(at);
    if (pair[0] != word) return false;
    uintptr_t kind = pair[1] ^ word ^ at ^ stray::detail::handle_key;
    return kind <= static_cast<uintptr_t>(stray::detail::handle_kind::recv);
  }
  std::int64_t count(uintptr_t from, uintptr_t to) const noexcept {
    std::int64_t n = 0;
    for (uintptr_t at = (from + 7) & ~uintptr_t{7}; at + 16 <= to; at += 8) n += valid(at);
    return n;
  }
  std::int64_t located(uintptr_t from) const noexcept {
    std::int64_t n = count(from, top);
    for (const block& b : blocks) {
      if (b.at != 0) n += count(b.at, b.at + b.bytes);
    }
    return n;
  }
  std::int64_t references() const noexcept { return core->in_use.load() ? core->refs.count.load() : 0; }
  // At an instruction of the stepped code.
  void look(const ucontext_t& at) noexcept {
    std::int64_t n = located(static_cast<uintptr_t>(at.uc_mcontext.gregs[REG_RSP]) - 128), references_now = references();
    n > references_now ? over++ : n == references_now ? exact++ : under++;
  }
  [[gnu::noinline]] std::int64_t located_now() const noexcept {
    return located(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)));
  }
};

volatile long sink = 0;
[[gnu::noinline]] void use(const chan& c) { sink = sink + static_cast<long>(c.cap()); }
[[gnu::noinline]] void use_send(const send_chan& c) { sink = sink + static_cast<long>(c.cap()); }
[[gnu::noinline]] void use_recv(const recv_chan& c) { sink = sink + static_cast<long>(c.cap()); }
[[gnu::noinline]] chan pass(chan c) {
  use(c);
  return c;
}
[[gnu::noinline]] void eat(chan c) { use(c); }
[[gnu::noinline]] void eat_send(send_chan c) { use_send(c); }
[[gnu::noinline]] void eat_recv(recv_chan c) { use_recv(c); }
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
const std::vector<shape> shapes = {
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

class handle_steps : public testing::TestWithParam<shape> {};
INSTANTIATE_TEST_SUITE_P(shapes, handle_steps, testing::ValuesIn(shapes),
                         [](const auto& p) { return std::string(p.param.name); });

[[gnu::noinline]] void step_through(const shape& s, bool keep) {
  chan c = stray::make_chan<int>(1);
  chan keeper = keep ? c : chan();  // without it the core ends with the shape's last handle
  watch w{c.core(), reinterpret_cast<uintptr_t>(__builtin_frame_address(0))};
  tracking = true;
  std::uint64_t stepped = single_step::run([&w](const ucontext_t& at) { w.look(at); }, [&] { s.run(c); });
  tracking = false;
  EXPECT_EQ(w.located_now(), w.references());
  EXPECT_EQ(w.references(), (c ? 1 : 0) + (keeper ? 1 : 0));
  EXPECT_EQ(w.over, 0u) << "more valid handles than references";
  EXPECT_GT(w.exact, 0u);
  EXPECT_EQ(stepped, w.exact + w.over + w.under);
  total += stepped, total_exact += w.exact, total_over += w.over;
}

TEST_P(handle_steps, never_more_than_the_count) { step_through(GetParam(), true); }
TEST_P(handle_steps, never_more_than_the_count_when_the_last_goes) { step_through(GetParam(), false); }

// The oracle sees a violation: a handle whose destination is written before its source is cleared counts twice.
struct wrong_order {
  volatile uintptr_t core, check;
  void set(uintptr_t k) {
    core = k;
    check = k ^ reinterpret_cast<uintptr_t>(this) ^ stray::detail::handle_key;
  }
  void clear() {
    core = 0;
    check = 0;
  }
};
TEST(handle_oracle, sees_a_move_in_the_wrong_order) {
  chan c = stray::make_chan<int>();
  watch w{c.core(), reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) + 16};
  wrong_order a, b;
  a.set(reinterpret_cast<uintptr_t>(c.core()));
  b.clear();
  c.core()->refs.count = 2;  // c and a
  std::uint64_t n = single_step::run([&w](const ucontext_t& at) { w.look(at); }, [&] { b.set(a.core), a.clear(); });
  c.core()->refs.count = 1;
  EXPECT_GT(w.over, 0u);
  EXPECT_LT(w.over, n);
}

// The harness itself: system calls, exceptions and other threads.
TEST(single_step, survives_system_calls_and_exceptions) {
  volatile int seen = 0;
  std::uint64_t n = single_step::run([&seen](const ucontext_t&) { seen = seen + 1; },
                                     [] {
                                       timespec t{0, 1000};
                                       for (int i = 0; i < 3; i++) nanosleep(&t, nullptr);
                                       std::printf("printed while stepped\n");
                                     });
  EXPECT_EQ(n, static_cast<std::uint64_t>(seen));
  EXPECT_GT(n, 100u);
  EXPECT_THROW(single_step::run([](const ucontext_t&) {}, [] { throw 1; }), int);
}

class sum_printer : public testing::Environment {
  void TearDown() override {
    std::printf("handles: %lu instructions stepped, located above the count at %lu, equal at %lu\n", total, total_over,
                total_exact);
  }
};
[[maybe_unused]] const auto* printer = testing::AddGlobalTestEnvironment(new sum_printer);

}  // namespace
