// A fuzzer's target, fed for some seconds with stored inputs and with mutations of them. How long: fuzz_seconds.hpp.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "tests/stress/fuzz_seconds.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

inline std::string mutated(std::string bytes, std::string_view alphabet, std::mt19937_64& random) {
  const std::string whole = bytes;
  for (std::size_t changes = random() % 8; changes > 0; changes--) {
    const std::size_t at = random() % bytes.size();
    switch (random() % 6) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
        break;
      case 2:
        bytes[at] = alphabet[random() % alphabet.size()];
        break;
      case 3:
        bytes.resize(at + 1);
        break;
      case 4:
        bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 64));
        break;
      default:
        bytes.erase(at, random() % 4);
    }
    if (bytes.empty()) bytes = whole;
  }
  return bytes;
}

// folder: of stored inputs, beside this file. alphabet: what has a meaning in them. Returns the number of inputs.
inline std::size_t feed_mutations(const char* folder, std::string_view alphabet) {
  const std::int64_t end = stray::base::now_ns() + fuzz_seconds() * 1'000'000'000;
  const std::uint64_t seed = std::random_device()();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::vector<std::string> from;
  for (const auto& file : std::filesystem::directory_iterator(std::filesystem::path(__FILE__).parent_path() / folder)) {
    std::ifstream in(file.path(), std::ios::binary);
    from.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  std::mt19937_64 random(seed);
  std::size_t n = 0;
  auto feed = [&](const std::string& bytes) {
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    n++;
  };
  for (const std::string& bytes : from) feed(bytes);
  while (!from.empty() && stray::base::now_ns() < end) feed(mutated(from[random() % from.size()], alphabet, random));
  std::printf("%zu inputs\n", n);
  return n;
}
