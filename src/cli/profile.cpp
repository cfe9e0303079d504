#include "cli/profile.h"

#include <stdexcept>
#include <unordered_map>

#include <protozero/pbf_reader.hpp>
#include <zlib.h>

namespace stray::cli {

namespace {

constexpr std::size_t most_bytes = std::size_t{1} << 30;  // unpacked

std::string unpacked(std::string_view bytes) {
  if (!bytes.starts_with("\x1f\x8b")) return std::string(bytes);
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) throw std::runtime_error("zlib has no memory");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  int status = Z_OK;
  while (status == Z_OK && out.size() < most_bytes) {
    char buffer[16384];
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof buffer;
    status = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer, sizeof buffer - stream.avail_out);
  }
  inflateEnd(&stream);
  if (status != Z_STREAM_END) throw std::runtime_error("it is cut short, or not gzip to its end");
  return out;
}

// Messages of profile.proto, with indices as they come.
struct raw_label {
  std::int64_t key = 0, text = 0, number = 0;
};
struct raw_sample {
  std::vector<std::uint64_t> locations;
  std::vector<std::int64_t> values;
  std::vector<raw_label> labels;
};
struct raw_line {
  std::uint64_t function = 0;
  std::int64_t line = 0;
};
struct raw_function {
  std::int64_t name = 0, file = 0;
};

// A repeated number, packed or one by one.
template <class T>
void add_numbers(protozero::pbf_reader& from, std::vector<T>& to) {
  if (from.wire_type() == protozero::pbf_wire_type::varint) {
    to.push_back(static_cast<T>(from.get_uint64()));
    return;
  }
  for (std::uint64_t n : from.get_packed_uint64()) to.push_back(static_cast<T>(n));
}

class reader {
 public:
  explicit reader(std::string_view bytes) {
    protozero::pbf_reader top(bytes.data(), bytes.size());
    while (top.next()) {
      switch (top.tag()) {
        case 1:
          types_.push_back(number(top.get_message(), 1));
          break;
        case 2:
          samples_.push_back(read_sample(top.get_message()));
          break;
        case 4:
          read_location(top.get_message());
          break;
        case 5:
          read_function(top.get_message());
          break;
        case 6:
          strings_.push_back(top.get_string());
          break;
        case 9:
          taken_ns_ = top.get_int64();
          break;
        case 13:
          add_numbers(top, comments_);
          break;
        default:
          top.skip();
      }
    }
    if (strings_.empty() || types_.empty()) throw std::runtime_error("it is no profile");
  }

  profile read(const std::string& target) const {
    profile out;
    out.target = target;
    out.taken = taken_ns_ / 1'000'000'000;
    for (std::int64_t c : comments_) out.notes.push_back(string(c));
    std::size_t bytes_at = types_.size();
    for (std::size_t i = 0; i < types_.size(); i++)
      if (string(types_[i]) == "bytes_retained") bytes_at = i;
    for (const raw_sample& s : samples_) out.leaks.push_back(to_leak(s, bytes_at, target));
    return out;
  }

 private:
  static std::int64_t number(protozero::pbf_reader m, std::uint32_t field) {
    std::int64_t n = 0;
    while (m.next())
      if (m.tag() == field && m.wire_type() == protozero::pbf_wire_type::varint)
        n = m.get_int64();
      else
        m.skip();
    return n;
  }

  static raw_sample read_sample(protozero::pbf_reader m) {
    raw_sample s;
    while (m.next()) {
      if (m.tag() == 1) {
        add_numbers(m, s.locations);
      } else if (m.tag() == 2) {
        add_numbers(m, s.values);
      } else if (m.tag() == 3) {
        protozero::pbf_reader of = m.get_message();
        raw_label l;
        while (of.next()) {
          if (of.tag() == 1)
            l.key = of.get_int64();
          else if (of.tag() == 2)
            l.text = of.get_int64();
          else if (of.tag() == 3)
            l.number = of.get_int64();
          else
            of.skip();
        }
        s.labels.push_back(l);
      } else {
        m.skip();
      }
    }
    return s;
  }

  void read_location(protozero::pbf_reader m) {
    std::uint64_t id = 0;
    std::vector<raw_line> lines;
    while (m.next()) {
      if (m.tag() == 1) {
        id = m.get_uint64();
      } else if (m.tag() == 4) {
        protozero::pbf_reader of = m.get_message();
        raw_line l;
        while (of.next()) {
          if (of.tag() == 1)
            l.function = of.get_uint64();
          else if (of.tag() == 2)
            l.line = of.get_int64();
          else
            of.skip();
        }
        lines.push_back(l);
      } else {
        m.skip();
      }
    }
    locations_[id] = std::move(lines);
  }

  void read_function(protozero::pbf_reader m) {
    std::uint64_t id = 0;
    raw_function f;
    while (m.next()) {
      if (m.tag() == 1)
        id = m.get_uint64();
      else if (m.tag() == 2)
        f.name = m.get_int64();
      else if (m.tag() == 4)
        f.file = m.get_int64();
      else
        m.skip();
    }
    functions_[id] = f;
  }

  const std::string& string(std::int64_t i) const {
    if (i < 0 || static_cast<std::size_t>(i) >= strings_.size())
      throw std::runtime_error("it names strings that it does not have");
    return strings_[static_cast<std::size_t>(i)];
  }

  leak to_leak(const raw_sample& s, std::size_t bytes_at, const std::string& target) const {
    leak l;
    l.target = target;
    if (!s.values.empty()) l.count = s.values[0];
    if (bytes_at < s.values.size()) l.bytes = s.values[bytes_at];
    for (const raw_label& of : s.labels) {
      const std::string& key = string(of.key);
      if (key == "wait_reason")
        l.reason = string(of.text);
      else if (key == "tier")
        l.tier = string(of.text);
      else if (key == "cause")
        l.cause = string(of.text);
      else if (key == "created_by")
        l.created_by = string(of.text);
      else if (key == "blocked_since")
        l.blocked_since = of.number;
      else
        l.labels.emplace_back(key, of.text != 0 ? string(of.text) : std::to_string(of.number));
    }
    for (std::uint64_t id : s.locations) {
      auto location = locations_.find(id);
      if (location == locations_.end()) throw std::runtime_error("it names locations that it does not have");
      for (const raw_line& line : location->second) {
        auto function = functions_.find(line.function);
        if (function == functions_.end()) throw std::runtime_error("it names functions that it does not have");
        l.stack.push_back({string(function->second.name), string(function->second.file), line.line});
      }
    }
    return l;
  }

  std::vector<std::int64_t> types_, comments_;
  std::vector<raw_sample> samples_;
  std::unordered_map<std::uint64_t, std::vector<raw_line>> locations_;
  std::unordered_map<std::uint64_t, raw_function> functions_;
  std::vector<std::string> strings_;
  std::int64_t taken_ns_ = 0;
};

bool is_runtime(std::string_view function) {
  for (std::string_view start : {"stray::", "std::", "runtime.", "sync.", "internal/"})
    if (function.starts_with(start)) return true;
  return false;
}

}  // namespace

const frame& leak::site() const {
  static const frame none{"?", "", 0};
  for (const frame& f : stack)
    if (!is_runtime(f.function)) return f;
  return stack.empty() ? none : stack[0];
}

profile read_profile(std::string_view bytes, const std::string& target) {
  try {
    return reader(unpacked(bytes)).read(target);
  } catch (const protozero::exception&) {
    throw std::runtime_error("it is no profile.proto");
  }
}

}  // namespace stray::cli
