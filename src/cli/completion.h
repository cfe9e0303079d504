// Shell completion, made from what CLI11 knows.
#pragma once

#include <string>

#include <CLI/App.hpp>

namespace stray::cli {

std::string completion(const CLI::App& app, const std::string& shell);  // bash, zsh or fish

}  // namespace stray::cli
