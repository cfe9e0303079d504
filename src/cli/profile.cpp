#include "cli/profile.h"

#include <initializer_list>
#include <stdexcept>
#include <unordered_map>

#include <fmt/format.h>
#include <zlib.h>

// protozero asserts that a field is asked for as what it is. The reader looks first; should it once not do so, that is no reason to abort.
#define protozero_assert(x) ((x) ? static_cast<void>(0) : throw std::logic_error("stray: the reader of profiles is wrong: " #x))
#include <protozero/pbf_reader.hpp>

namespace stray::cli {

namespace {

using protozero::pbf_reader;
using wire = protozero::pbf_wire_type;

// A few bytes may name the same stack and the same text any number of times, so what they stand for is limited, too. The sum of the text, and
// not its copies: in what is printed each stands by itself anyway.
constexpr std::size_t most_samples = 200'000, most_frames_of_one = 1024, most_frames = 1'000'000, most_labels_of_one = 256,
                      most_entries = 1'000'000, most_text = std::size_t{128} << 20;
constexpr std::int64_t most_count = std::int64_t{1} << 53;

void limit(std::size_t n, std::size_t most, const char* what) {
  if (n > most) throw std::runtime_error(fmt::format("it has more than {} {}", most, what));
}

std::string unpacked(std::string_view bytes) {
  if (!bytes.starts_with("\x1f\x8b")) return std::string(bytes);
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) throw std::runtime_error("zlib has no memory");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  int status = Z_OK;
  while (status == Z_OK && out.size() <= most_bytes) {
    char buffer[16384];
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof buffer;
    status = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer, sizeof buffer - stream.avail_out);
  }
  inflateEnd(&stream);
  if (out.size() > most_bytes) throw std::runtime_error(fmt::format("it is larger than {} MB when unpacked", most_bytes >> 20));
  if (status != Z_STREAM_END) throw std::runtime_error("it is cut short, or not gzip to its end");
  return out;
}

// Messages of profile.proto, with indices as they come.
struct raw_label {
  std::int64_t key = 0, text = 0, number = 0;
};
struct raw_line {
  std::uint64_t function = 0;
  std::int64_t line = 0;
};
struct raw_function {
  std::int64_t name = 0, file = 0;
};

bool is_number(const pbf_reader& m, std::uint32_t field) {
  return m.tag_and_type() == protozero::tag_and_type(field, wire::varint);
}
bool is_bytes(const pbf_reader& m, std::uint32_t field) {
  return m.tag_and_type() == protozero::tag_and_type(field, wire::length_delimited);
}

// The numbers of a message; everything else in it is passed over.
struct number_field {
  std::uint32_t field;
  std::int64_t& to;
};
void read_numbers(pbf_reader m, std::initializer_list<number_field> fields) {
  while (m.next()) {
    const number_field* wanted = nullptr;
    for (const number_field& f : fields)
      if (is_number(m, f.field)) wanted = &f;
    if (wanted != nullptr)
      wanted->to = m.get_int64();
    else
      m.skip();
  }
}

// A repeated number, packed or one by one; false: this is none of that field.
template <class T>
bool add_numbers(pbf_reader& from, std::uint32_t field, std::vector<T>& to, std::size_t most, const char* what) {
  if (is_number(from, field)) {
    to.push_back(static_cast<T>(from.get_uint64()));
    limit(to.size(), most, what);
    return true;
  }
  if (!is_bytes(from, field)) return false;
  for (std::uint64_t n : from.get_packed_uint64()) {
    to.push_back(static_cast<T>(n));
    limit(to.size(), most, what);
  }
  return true;
}

class reader {
 public:
  explicit reader(std::string_view bytes) {
    pbf_reader top(bytes.data(), bytes.size());
    while (top.next()) {
      limit(++entries_, most_entries, "strings, samples, functions and lines");
      if (is_bytes(top, 1)) {
        std::int64_t type = 0;
        read_numbers(top.get_message(), {{1, type}});
        types_.push_back(type);
        limit(types_.size(), 64, "types of values");
      } else if (is_bytes(top, 2)) {
        samples_.push_back(top.get_message());
        limit(samples_.size(), most_samples, "samples");
      } else if (is_bytes(top, 4)) {
        read_location(top.get_message());
      } else if (is_bytes(top, 5)) {
        std::int64_t id = 0;
        raw_function f;
        read_numbers(top.get_message(), {{1, id}, {2, f.name}, {4, f.file}});
        functions_[static_cast<std::uint64_t>(id)] = f;
      } else if (is_bytes(top, 6)) {
        auto text = top.get_view();
        strings_.emplace_back(text.data(), text.size());
      } else if (is_number(top, 9)) {
        taken_ns_ = top.get_int64();
      } else if (!add_numbers(top, 13, comments_, 1000, "comments")) {
        top.skip();
      }
    }
    if (strings_.empty() || types_.empty()) throw std::runtime_error("it is no profile");
  }

  profile read(const std::string& target) {
    profile out;
    out.target = target;
    out.taken = taken_ns_ / 1'000'000'000;
    for (std::int64_t c : comments_) out.notes.push_back(text(c));
    std::size_t bytes_at = types_.size();
    for (std::size_t i = 0; i < types_.size(); i++)
      if (string(types_[i]) == "bytes_retained") bytes_at = i;
    for (const pbf_reader& s : samples_) out.leaks.push_back(read_sample(s, bytes_at, target));
    return out;
  }

 private:
  void read_location(pbf_reader m) {
    std::int64_t id = 0;
    std::vector<raw_line> lines;
    while (m.next()) {
      if (is_number(m, 1)) {
        id = m.get_int64();
      } else if (is_bytes(m, 4)) {
        limit(++entries_, most_entries, "strings, samples, functions and lines");
        raw_line& l = lines.emplace_back();
        std::int64_t function = 0;
        read_numbers(m.get_message(), {{1, function}, {2, l.line}});
        l.function = static_cast<std::uint64_t>(function);
      } else {
        m.skip();
      }
    }
    locations_[static_cast<std::uint64_t>(id)] = std::move(lines);
  }

  leak read_sample(pbf_reader m, std::size_t bytes_at, const std::string& target) {
    std::vector<std::uint64_t> locations;
    std::vector<std::int64_t> values;
    std::vector<raw_label> labels;
    while (m.next()) {
      if (add_numbers(m, 1, locations, most_frames_of_one, "frames in one stack")) continue;
      if (add_numbers(m, 2, values, 64, "values in one sample")) continue;
      if (!is_bytes(m, 3)) {
        m.skip();
        continue;
      }
      raw_label& l = labels.emplace_back();
      limit(labels.size(), most_labels_of_one, "labels on one stack");
      read_numbers(m.get_message(), {{1, l.key}, {2, l.text}, {3, l.number}});
    }
    leak l;
    l.target = target;
    if (!values.empty()) l.count = amount(values[0], "count");
    if (bytes_at < values.size()) l.bytes = amount(values[bytes_at], "number of bytes");
    for (const raw_label& of : labels) add_label(l, of);
    for (std::uint64_t id : locations) add_frames(l, id);
    return l;
  }

  void add_label(leak& l, const raw_label& of) {
    std::string_view key = string(of.key);
    if (key == "wait_reason")
      l.reason = text(of.text);
    else if (key == "tier")
      l.tier = text(of.text);
    else if (key == "cause")
      l.cause = text(of.text);
    else if (key == "created_by")
      l.created_by = text(of.text);
    else if (key == "called_by")
      l.called_by.push_back(text(of.text));
    else if (key == "blocked_since")
      l.blocked_since = amount(of.number, "time");
    else
      l.labels.emplace_back(text(of.key), of.text != 0 ? text(of.text) : std::to_string(of.number));
    limit(++pieces_, most_frames, "frames and labels in all");
  }

  void add_frames(leak& l, std::uint64_t id) {
    auto location = locations_.find(id);
    if (location == locations_.end()) throw std::runtime_error("it names locations that it does not have");
    for (const raw_line& line : location->second) {
      auto function = functions_.find(line.function);
      if (function == functions_.end()) throw std::runtime_error("it names functions that it does not have");
      limit(l.stack.size() + 1, most_frames_of_one, "frames in one stack");
      limit(++pieces_, most_frames, "frames and labels in all");
      l.stack.push_back({text(function->second.name), text(function->second.file), line.line});
    }
  }

  static std::int64_t amount(std::int64_t n, const char* what) {
    if (n < 0 || n > most_count) throw std::runtime_error(fmt::format("it has a {} of {}", what, n));
    return n;
  }

  std::string_view string(std::int64_t i) const {
    if (i < 0 || static_cast<std::size_t>(i) >= strings_.size())
      throw std::runtime_error("it names strings that it does not have");
    return strings_[static_cast<std::size_t>(i)];
  }
  std::string text(std::int64_t i) {
    std::string_view s = string(i);
    text_ += s.size();
    if (text_ > most_text)
      throw std::runtime_error(fmt::format("its names and labels are more than {} MB in all", most_text >> 20));
    return std::string(s);
  }

  std::vector<std::int64_t> types_, comments_;
  std::vector<pbf_reader> samples_;
  std::unordered_map<std::uint64_t, std::vector<raw_line>> locations_;
  std::unordered_map<std::uint64_t, raw_function> functions_;
  std::vector<std::string_view> strings_;
  std::int64_t taken_ns_ = 0;
  std::size_t entries_ = 0, pieces_ = 0, text_ = 0;
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
  const std::string plain = unpacked(bytes);
  try {
    return reader(plain).read(target);
  } catch (const protozero::exception&) {
    throw std::runtime_error("it is no profile.proto");
  }
}

}  // namespace stray::cli
