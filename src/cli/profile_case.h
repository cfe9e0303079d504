// Profiles for tests, written field by field: also such as no program would write.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include <protozero/pbf_writer.hpp>

namespace stray::cli {

class profile_case {
 public:
  // Strings 0 to 3 are "", "goroutineleak", "bytes_retained" and "count".
  profile_case() : top_(bytes_) {
    for (const char* text : {"", "goroutineleak", "bytes_retained", "count"}) string(text);
    for (std::int64_t type : {1, 2}) protozero::pbf_writer(top_, 1).add_int64(1, type);
  }
  std::int64_t string(std::string_view text) {
    top_.add_string(6, text.data(), text.size());
    return strings_++;
  }
  // Function and location of that number.
  void function(std::uint64_t id, std::string_view name, std::string_view file, std::size_t lines = 1) {
    std::int64_t name_at = string(name), file_at = string(file);
    {
      protozero::pbf_writer f(top_, 5);
      f.add_uint64(1, id);
      f.add_int64(2, name_at);
      f.add_int64(4, file_at);
    }
    protozero::pbf_writer location(top_, 4);
    location.add_uint64(1, id);
    for (std::size_t i = 0; i < lines; i++) {
      protozero::pbf_writer line(location, 4);
      line.add_uint64(1, id);
      line.add_int64(2, 17);
    }
  }
  // labels: pairs of strings' numbers.
  void sample(std::initializer_list<std::uint64_t> locations, std::int64_t count, std::int64_t bytes = 0,
              std::initializer_list<std::pair<std::int64_t, std::int64_t>> labels = {}) {
    protozero::pbf_writer s(top_, 2);
    s.add_packed_uint64(1, locations.begin(), locations.end());
    const std::int64_t values[] = {count, bytes};
    s.add_packed_int64(2, values, values + 2);
    for (const auto& [key, text] : labels) {
      protozero::pbf_writer l(s, 3);
      l.add_int64(1, key);
      l.add_int64(2, text);
    }
  }
  protozero::pbf_writer& top() { return top_; }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  protozero::pbf_writer top_;
  std::int64_t strings_ = 0;
};

}  // namespace stray::cli
