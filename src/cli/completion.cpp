#include "cli/completion.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <stdexcept>

namespace stray::cli {

namespace {

std::string options_of(const CLI::App& app) {
  std::string words;
  for (const CLI::Option* o : app.get_options())
    for (const std::string& name : o->get_lnames()) words += "--" + name + " ";
  return words;
}

std::string bash(const CLI::App& app) {
  std::string commands, cases;
  for (const CLI::App* command : app.get_subcommands({})) {
    commands += command->get_name() + " ";
    cases += fmt::format("    {}) words=\"{}\" ;;\n", command->get_name(), options_of(*command));
  }
  return fmt::format(R"(_stray() {{
  local words="{}{}" current=${{COMP_WORDS[COMP_CWORD]}}
  case ${{COMP_WORDS[1]}} in
{}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current"))
}}
complete -F _stray stray
)",
                     commands, options_of(app), cases);
}

std::string fish(const CLI::App& app) {
  std::string out;
  for (const CLI::App* command : app.get_subcommands({})) {
    out += fmt::format("complete -c stray -n __fish_use_subcommand -a {} -d '{}'\n", command->get_name(),
                       command->get_description());
    for (const CLI::Option* o : command->get_options())
      for (const std::string& name : o->get_lnames())
        out += fmt::format("complete -c stray -n '__fish_seen_subcommand_from {}' -l {}\n", command->get_name(), name);
  }
  return out;
}

}  // namespace

std::string completion(const CLI::App& app, const std::string& shell) {
  if (shell == "bash") return bash(app);
  if (shell == "zsh") return "#compdef stray\nautoload -U +X bashcompinit && bashcompinit\n" + bash(app);
  if (shell == "fish") return fish(app);
  throw std::invalid_argument("there is completion for bash, zsh and fish");
}

}  // namespace stray::cli
