// The tool `stray`: a client of /debug/pprof/goroutineleak; nothing of the library is linked.
//
// Exit status: 0; 1 with --fail-on-leak when there are leaks (new ones for watch and diff); 2 when the command line is wrong or a target could
// not be read, also if others could.
#include <atomic>
#include <csignal>
#include <ctime>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <thread>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <stray/version.hpp>
#include "base/environment.h"
#include "base/printable.h"
#include "cli/completion.h"
#include "cli/fetch.h"
#include "cli/longest.h"
#include "cli/print.h"
#include "cli/profile.h"
#include "cli/sites.h"
#include "profile/names.h"

namespace stray::cli {

namespace {

constexpr const char* version = STRAY_VERSION;
constexpr int has_leaks = 1, is_wrong = 2;

volatile std::sig_atomic_t interrupted = 0;

struct arguments {
  std::vector<std::string> targets;
  std::string sort = "count", colour = "auto", site, id, shell, token;
  std::size_t most = 20;
  int seconds = 0, interval = 10, timeout = 30, rounds = 0;
  bool json = false, sarif = false, fail_on_leak = false, short_names = false, longest = false;

  std::chrono::seconds limit() const { return std::chrono::seconds(timeout); }
};

const std::map<std::string, order> orders{
    {"count", order::count}, {"age", order::age}, {"bytes", order::bytes}, {"growth", order::growth}};

void say(const std::string& text) { std::cerr << "stray: " << base::printable(text) << std::endl; }

style style_of(const arguments& a) {
  style s;
  s.colour =
      a.colour == "always" || (a.colour == "auto" && isatty(STDOUT_FILENO) != 0 && base::environment("NO_COLOR") == nullptr);
  s.targets = a.targets.size();
  s.now = std::time(nullptr);
  return s;
}

struct fleet {
  std::vector<profile> profiles;
  bool whole = true;  // each target could be read
};

void shorten(profile& p) {
  for (leak& l : p.leaks) {
    for (frame& f : l.stack) f.function = stray::profile::short_name(f.function);
    l.created_by = stray::profile::short_name(l.created_by);
    for (std::string& caller : l.called_by) caller = stray::profile::short_name(caller);
  }
}

// All targets at the same time: a slow one costs its own time only. Who could not be read is said, and empty.
template <class Read>
auto ask_all(const std::vector<std::string>& targets, Read read) {
  std::vector<std::optional<decltype(read(targets[0]))>> answers(targets.size());
  std::vector<std::string> errors(targets.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < targets.size(); i++)
    threads.emplace_back([&, i] {
      try {
        answers[i] = read(targets[i]);
      } catch (const std::exception& e) {
        errors[i] = e.what();
      }
    });
  for (std::thread& t : threads) t.join();
  for (std::size_t i = 0; i < targets.size(); i++)
    if (!answers[i]) say(without_password(targets[i]) + ": " + errors[i]);
  return answers;
}

fleet read_all(const arguments& a, const std::vector<std::string>& targets) {
  fleet out;
  for (std::optional<profile>& p : ask_all(targets, [&](const std::string& t) {
         profile read = read_profile(fetch_profile(t, a.limit()), t);
         if (a.short_names) shorten(read);
         return read;
       })) {
    out.whole = out.whole && p;
    if (!p) continue;
    for (const std::string& note : p->notes) say(p->target + ": " + note);
    out.profiles.push_back(*std::move(p));
  }
  return out;
}

int status_of(const arguments& a, const fleet& f, bool leaks) {
  return !f.whole ? is_wrong : a.fail_on_leak && leaks ? has_leaks : 0;
}

void print(const arguments& a, const std::vector<site>& sites, const std::vector<profile>& profiles, const style& s,
           const std::string& text) {
  std::cout << (a.json ? json(sites, profiles, s) : a.sarif ? sarif(sites, version) : text) << std::flush;
}

void wait_for(std::chrono::seconds time, const std::function<void(std::chrono::seconds)>& progress) {
  auto end = std::chrono::steady_clock::now() + time;
  for (auto left = time; left.count() > 0 && interrupted == 0;
       left = std::chrono::ceil<std::chrono::seconds>(end - std::chrono::steady_clock::now())) {
    progress(left);
    std::this_thread::sleep_for(
        std::min<std::chrono::nanoseconds>(std::chrono::milliseconds(200), end - std::chrono::steady_clock::now()));
  }
}

// One line on a terminal, which the next one replaces.
void show_progress(const std::string& text) {
  if (isatty(STDERR_FILENO) != 0) std::cerr << "\r\033[K" << text << std::flush;
}

// Of those that are not known to be leaked: the status says nothing of them.
int longest(const arguments& a) {
  std::vector<std::vector<waiting_site>> all;
  bool whole = true;
  for (auto& sites : ask_all(a.targets, [&](const std::string& t) { return read_longest(fetch_longest(t, a.limit()), t); })) {
    whole = whole && sites;
    if (sites) all.push_back(*std::move(sites));
  }
  if (all.empty()) return is_wrong;
  std::vector<waiting_site> sites = merged(all);
  std::cout << (a.json ? longest_json(sites) : longest_table(sites, a.most, style_of(a))) << std::flush;
  return whole ? 0 : is_wrong;
}

int top(const arguments& a) {
  if (a.longest) return longest(a);
  fleet base;
  if (a.seconds > 0) {
    base = read_all(a, a.targets);
    wait_for(std::chrono::seconds(a.seconds),
             [](auto left) { show_progress(fmt::format("stray: second look in {} s", left.count())); });
    show_progress("");
  }
  fleet now = read_all(a, a.targets);
  if (now.profiles.empty()) return is_wrong;
  std::vector<site> sites = rank(now.profiles, base.profiles, orders.at(a.sort));
  style s = style_of(a);
  s.growth = a.seconds > 0;
  print(a, sites, now.profiles, s, table(sites, a.most, s));
  return status_of(a, now, !sites.empty());
}

int show(const arguments& a) {
  fleet now = read_all(a, a.targets);
  if (now.profiles.empty()) return is_wrong;
  std::vector<site> sites = rank(now.profiles, {}, order::count);
  std::erase_if(sites, [&](const site& s) { return !matches(s, a.site); });
  style s = style_of(a);
  std::string text;
  for (const site& one : sites) text += (text.empty() ? "" : "\n") + details(one, s);
  if (sites.empty())
    text = a.site.empty() ? "no leaked goroutines\n" : fmt::format("no leaked goroutines that match \"{}\"\n", a.site);
  print(a, sites, now.profiles, s, text);
  return status_of(a, now, !sites.empty());
}

int diff(const arguments& a) {
  fleet old = read_all(a, {a.targets[0]}), now = read_all(a, {a.targets[1]});
  if (!old.whole || !now.whole) return is_wrong;
  for (auto* f : {&old, &now})
    for (profile& p : f->profiles) p.target = "";  // the two sides are one process at two times, or two builds
  std::vector<site> sites = difference(old.profiles, now.profiles);
  style s = style_of(a);
  s.growth = true;
  s.targets = 1;
  print(a, sites, now.profiles, s, sites.empty() ? "no difference\n" : table(sites, a.most, s));
  return status_of(a, now, std::any_of(sites.begin(), sites.end(), [](const site& one) { return one.growth > 0; }));
}

int why(const arguments& a) {
  try {
    std::cout << base::printable_lines(fetch_why(a.targets[0], a.id, a.limit())) << std::flush;
    return 0;
  } catch (const std::exception& e) {
    say(without_password(a.targets[0]) + ": " + e.what());
    return is_wrong;
  }
}

int watch(const arguments& a) {
  struct sigaction stop {};
  stop.sa_handler = [](int) { interrupted = 1; };
  sigaction(SIGINT, &stop, nullptr);
  sigaction(SIGTERM, &stop, nullptr);
  std::vector<profile> known;
  bool any = false, whole = true;
  for (int round = 0; interrupted == 0 && (a.rounds == 0 || round < a.rounds); round++) {
    if (round > 0) {
      std::int64_t leaks = 0;
      for (const profile& p : known)
        for (const leak& l : p.leaks) leaks = sum(leaks, l.count);
      wait_for(std::chrono::seconds(a.interval), [&](auto left) {
        show_progress(fmt::format("watching {} target{}, {} leaked goroutines known, next look in {} s", a.targets.size(),
                                  a.targets.size() == 1 ? "" : "s", leaks, left.count()));
      });
      if (interrupted != 0) break;
    }
    fleet now = read_all(a, a.targets);
    whole = now.whole;
    if (round == 0 && now.profiles.empty()) return is_wrong;
    std::vector<site> grown = rank(now.profiles, known, order::growth);
    std::erase_if(grown, [](const site& s) { return s.growth <= 0; });
    if (!grown.empty()) {
      show_progress("");
      any = any || round > 0;
      style s = style_of(a);
      s.growth = true;
      if (a.json) {
        std::cout << json(grown, now.profiles, s) << std::flush;
      } else {
        std::time_t at = std::time(nullptr);
        for (const site& one : grown)
          std::cout << fmt::format("{:%H:%M:%S}  ", *std::localtime(&at)) << one_line(one, s) << "\n";
        std::cout << std::flush;
      }
    }
    // Who could not be read this time keeps what was known of it.
    for (profile& p : now.profiles) {
      std::erase_if(known, [&](const profile& k) { return k.target == p.target; });
      known.push_back(std::move(p));
    }
  }
  show_progress("");
  if (a.fail_on_leak && any) return has_leaks;
  return whole ? 0 : is_wrong;
}

int run(int argc, char** argv) {
  CLI::App app{
      "Goroutines that can never wake again, in one process or a fleet: what stray (or Go 1.26 and later) serves at\n"
      "/debug/pprof/goroutineleak.\n"};
  app.footer(
      "A TARGET is HOST:PORT, :PORT, an http address or unix:/path of an endpoint, the PID of a process that has one,\n"
      "or a file with a saved profile. Without one: localhost:6060.\n\n"
      "Examples:\n"
      "  stray top                                      what localhost:6060 has leaked, the most first\n"
      "  stray top web1:6060 web2:6060 web3:6060        the same over a fleet, merged by line\n"
      "  stray top --seconds 60 --sort growth 4711      what grows in process 4711\n"
      "  stray top --longest web1:6060                  who is stuck though nothing can be proven: what grows first\n"
      "  stray show --site orders.cpp:41                stacks and causes of one line\n"
      "  stray why 17 localhost:6060                    what keeps goroutine 17 alive\n"
      "  stray watch --interval 30 web1:6060            new leaks as they come\n"
      "  stray diff before.pb.gz after.pb.gz            between two saved profiles\n"
      "  stray top --sarif --fail-on-leak :6060 > leaks.sarif    in a CI job\n");
  app.set_version_flag("--version", std::string("stray ") + version);
  app.require_subcommand(1);
  arguments a;

  auto add = [&](const char* name, const char* what, std::function<int(const arguments&)> f) {
    CLI::App* c = app.add_subcommand(name, what);
    c->callback([&a, f] {
      if (a.targets.empty()) a.targets = {"localhost:6060"};
      use_token(a.token);
      throw CLI::RuntimeError(f(a));
    });
    c->add_option("--timeout", a.timeout, "seconds for each target, in all")->capture_default_str()->check(CLI::Range(1, 3600));
    c->add_option("--token", a.token, "of endpoints that want one; every user can see it here, so better in the environment")
        ->envname("STRAY_PPROF_TOKEN");
    return c;
  };
  auto with_output = [&](CLI::App* c, bool sarif) {
    CLI::Option* json_flag = c->add_flag("--json", a.json, "as JSON");
    if (sarif) c->add_flag("--sarif", a.sarif, "as SARIF 2.1.0, for code scanning of CI systems")->excludes(json_flag);
    c->add_flag("--short-names", a.short_names, "functions without template arguments and parameters");
    c->add_flag("--fail-on-leak", a.fail_on_leak, "exit status 1 if there are any");
    c->add_option("--color", a.colour, "when to use colours")
        ->capture_default_str()
        ->check(CLI::IsMember({"auto", "always", "never"}));
  };
  auto with_targets = [&](CLI::App* c) { c->add_option("TARGET", a.targets, "endpoints, PIDs or files"); };
  auto with_most = [&](CLI::App* c) { c->add_option("-n,--most", a.most, "rows at most")->capture_default_str(); };

  CLI::App* top_command = add("top", "places that leak, merged over all targets", top);
  with_targets(top_command);
  with_output(top_command, true);
  with_most(top_command);
  CLI::Option* longest_flag = top_command->add_flag(
      "--longest", a.longest, "who has been blocked longest instead, and is not known to be leaked: no proof of anything");
  for (const char* other : {"--sarif", "--fail-on-leak"}) longest_flag->excludes(top_command->get_option(other));
  top_command->add_option("--sort", a.sort, "by what")
      ->capture_default_str()
      ->check(CLI::IsMember({"count", "age", "bytes", "growth"}))
      ->excludes(longest_flag);
  top_command->add_option("--seconds", a.seconds, "look twice, so many seconds apart, and show the growth")
      ->check(CLI::Range(1, 86400))
      ->excludes(longest_flag);

  CLI::App* show_command = add("show", "stacks and causes", show);
  with_targets(show_command);
  with_output(show_command, true);
  show_command->add_option("--site", a.site, "only where this is part of the function, FILE:LINE or cause");

  CLI::App* why_command = add("why", "what keeps a blocked goroutine alive", why);
  why_command->add_option("GOROUTINE", a.id, "its number")->required()->check(CLI::PositiveNumber);
  why_command->add_option("TARGET", a.targets, "an endpoint or PID")->expected(1);

  CLI::App* watch_command = add("watch", "new leaks as they come, until it is interrupted", watch);
  with_targets(watch_command);
  with_output(watch_command, false);
  watch_command->add_option("--interval", a.interval, "seconds between two looks")
      ->capture_default_str()
      ->check(CLI::Range(1, 86400));
  watch_command->add_option("--rounds", a.rounds, "end after so many looks")->check(CLI::Range(1, 1'000'000));

  CLI::App* diff_command = add("diff", "what one profile has more or less than another", diff);
  diff_command->add_option("TARGET", a.targets, "before and after: files, endpoints or PIDs")->required()->expected(2);
  with_output(diff_command, true);
  with_most(diff_command);

  CLI::App* completion_command = app.add_subcommand("completion", "a completion script for bash, zsh or fish");
  completion_command->add_option("SHELL", a.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion_command->callback([&] { std::cout << completion(app, a.shell); });

  try {
    app.parse(argc, argv);
  } catch (const CLI::RuntimeError& done) {
    return done.get_exit_code();
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : is_wrong;
  }
  return 0;
}

}  // namespace

}  // namespace stray::cli

int main(int argc, char** argv) {
  try {
    return stray::cli::run(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << "stray: " << e.what() << std::endl;
    return 2;
  }
}
