// debug=0: profile.proto (github.com/google/pprof), gzipped.
//
// 1. String 0 is "". Mapping 1 is the program. Ids of mappings, locations and functions count from 1.
// 2. A location is one return address - 1; its lines go from the innermost inlined function out.
// 3. What called the goroutine's function is left out, as Go leaves out goexit: whole locations at the root, and the outermost lines of a
//    location that the user's code was inlined into.
// 4. The leaf location of a parked goroutine is the one line stray::runtime::park, whatever the compiler inlined into it, so that profiles
//    of any build compare.
#include <chrono>
#include <unordered_map>

#include "profile/formats.h"
#include "profile/protobuf.h"
#include "profile/symbolize.h"
#include "profile/text.h"

namespace stray::profile {

namespace {

// Field numbers of profile.proto.
namespace field {
namespace profile {
enum : std::uint32_t {
  sample_type = 1,
  sample = 2,
  mapping = 3,
  location = 4,
  function = 5,
  string_table = 6,
  time_nanos = 9,
  duration_nanos = 10,
  period_type = 11,
  period = 12,
  comment = 13,
  default_sample_type = 14
};
}
namespace value_type {
enum : std::uint32_t { type = 1, unit = 2 };
}
namespace sample {
enum : std::uint32_t { location_id = 1, value = 2, label = 3 };
}
namespace label {
enum : std::uint32_t { key = 1, str = 2, num = 3, num_unit = 4 };
}
namespace mapping {
enum : std::uint32_t {
  id = 1,
  memory_start = 2,
  memory_limit = 3,
  file_offset = 4,
  filename = 5,
  build_id = 6,
  has_functions = 7,
  has_filenames = 8,
  has_line_numbers = 9,
  has_inline_frames = 10
};
}
namespace location {
enum : std::uint32_t { id = 1, mapping_id = 2, address = 3, line = 4 };
}
namespace line {
enum : std::uint32_t { function_id = 1, line = 2 };
}
namespace function {
enum : std::uint32_t { id = 1, name = 2, system_name = 3, filename = 4, start_line = 5 };
}
}  // namespace field

constexpr const char* park = "stray::runtime::park";

class builder {
 public:
  builder() : maps_(mappings()), seen_(maps_.size()) { string(""); }

  void value_type(std::uint32_t where, std::string_view type, std::string_view unit) {
    message w(out_, where);
    w.number(field::value_type::type, string(type));
    w.number(field::value_type::unit, string(unit));
  }
  void number(std::uint32_t where, std::int64_t value) { out_.number(where, value); }
  void comment(std::string_view text) { out_.number(field::profile::comment, string(text)); }
  void default_type(std::string_view type) { out_.number(field::profile::default_sample_type, string(type)); }

  void sample(const profile::sample& s, bool leak_labels) {
    std::vector<std::uint64_t> ids;
    std::size_t shown = s.pcs.size();
    while (shown > 1 && users_lines(symbolize(s.pcs[shown - 1] - 1)) == 0) --shown;
    bool any = shown > 1 || (shown == 1 && users_lines(symbolize(s.pcs[0] - 1)) != 0);
    if (!any) shown = s.pcs.size();  // nothing but the runtime: shown whole
    for (std::size_t i = 0; i < shown; ++i) ids.push_back(location(s.pcs[i] - 1, i == 0));
    std::int64_t values[] = {s.count, s.bytes};
    message w(out_, field::profile::sample);
    w.packed(field::sample::location_id, ids.data(), ids.data() + ids.size());
    w.packed(field::sample::value, values, values + (leak_labels ? 2 : 1));
    for (const auto& l : s.labels) text_label(w, l.key, l.value);
    if (!leak_labels) return;
    text_label(w, "wait_reason", s.wait_reason);
    text_label(w, "tier", s.tier);
    text_label(w, "created_by", s.created_by);
    for (const std::string& caller : s.called_by) text_label(w, "called_by", caller);
    text_label(w, "cause", s.cause);
    if (s.blocked_since == 0) return;
    message l(w, field::sample::label);
    l.number(field::label::key, string("blocked_since"));
    l.number(field::label::num, s.blocked_since);
    l.number(field::label::num_unit, string("seconds"));
  }

  std::string finish() {
    for (std::size_t i = 0; i < maps_.size(); ++i) mapping(i);
    out_bytes_ += tables_;
    message w(out_bytes_);
    for (const std::string* s : strings_) w.text(field::profile::string_table, *s);
    return std::move(out_bytes_);
  }

 private:
  struct usage {
    bool used = false, no_name = false, no_file = false, inlines = false;
  };

  std::int64_t string(std::string_view text) {
    auto [at, fresh] = string_ids_.try_emplace(std::string(text), static_cast<std::int64_t>(string_ids_.size()));
    if (fresh) strings_.push_back(&at->first);
    return at->second;
  }
  void text_label(message& w, std::string_view key, std::string_view value) {
    if (value.empty()) return;
    message l(w, field::sample::label);
    l.number(field::label::key, string(key));
    l.number(field::label::str, string(value));
  }

  std::uint64_t function(const source_line& line) {
    std::string key = line.function + '\0' + line.system_name + '\0' + line.file + '\0' + std::to_string(line.start_line);
    auto [at, fresh] = function_ids_.try_emplace(std::move(key), function_ids_.size() + 1);
    if (fresh) {
      message tables(tables_);
      message w(tables, field::profile::function);
      w.number(field::function::id, at->second);
      w.number(field::function::name, string(line.function));
      w.number(field::function::system_name, string(line.system_name.empty() ? line.function : line.system_name));
      w.number(field::function::filename, string(line.file));
      w.number(field::function::start_line, line.start_line);
    }
    return at->second;
  }

  // Lines up to the outermost one of a user's; 0: there is none.
  static std::size_t users_lines(const std::vector<source_line>& lines) {
    std::size_t n = lines.size();
    while (n > 0 && (is_runtime(lines[n - 1]) || is_invoke_helper(lines[n - 1]))) --n;
    return n;
  }

  std::uint64_t location(std::uintptr_t pc, bool leaf) {
    auto [at, fresh] = location_ids_.try_emplace(pc, location_ids_.size() + 1);
    if (!fresh) return at->second;
    const auto& lines = symbolize(pc);
    std::size_t first = 0;
    if (leaf)
      for (std::size_t i = 0; i < lines.size(); ++i)
        if (lines[i].function == park) first = i;
    std::size_t end = users_lines(lines);
    if (end <= first) end = lines.size();
    std::vector<std::uint64_t> functions;
    for (std::size_t i = first; i < end; ++i) functions.push_back(function(lines[i]));

    std::uint64_t mapping_id = 0;
    for (std::size_t i = 0; i < maps_.size() && mapping_id == 0; ++i)
      if (maps_[i].start <= pc && pc < maps_[i].limit) mapping_id = i + 1;
    if (mapping_id != 0) note(seen_[mapping_id - 1], lines);

    message tables(tables_);
    message w(tables, field::profile::location);
    w.number(field::location::id, at->second);
    if (mapping_id != 0) w.number(field::location::mapping_id, mapping_id);
    w.number(field::location::address, pc);
    for (std::size_t i = first; i < end; ++i) {
      message l(w, field::location::line);
      l.number(field::line::function_id, functions[i - first]);
      l.number(field::line::line, lines[i].line);
    }
    return at->second;
  }

  static void note(usage& u, const std::vector<source_line>& lines) {
    u.used = true;
    u.inlines |= lines.size() > 1;
    for (const auto& line : lines) {
      u.no_name |= line.system_name.empty() && line.file.empty();
      u.no_file |= line.file.empty();
    }
  }

  // The flags tell pprof that it need not symbolize again: set for the program, and for others when nothing was missing.
  void mapping(std::size_t i) {
    const auto& m = maps_[i];
    const usage& u = seen_[i];
    bool named = i == 0 || (u.used && !u.no_name), filed = i == 0 || (u.used && !u.no_file);
    message tables(tables_);
    message w(tables, field::profile::mapping);
    w.number(field::mapping::id, i + 1);
    w.number(field::mapping::memory_start, m.start);
    w.number(field::mapping::memory_limit, m.limit);
    w.number(field::mapping::file_offset, m.offset);
    w.number(field::mapping::filename, string(m.file));
    w.number(field::mapping::build_id, string(m.build_id));
    if (named) w.number(field::mapping::has_functions, true);
    if (filed) w.number(field::mapping::has_filenames, true);
    if (filed) w.number(field::mapping::has_line_numbers, true);
    if (u.inlines) w.number(field::mapping::has_inline_frames, true);
  }

  std::vector<profile::mapping> maps_;
  std::vector<usage> seen_;
  std::unordered_map<std::string, std::int64_t> string_ids_;
  std::vector<const std::string*> strings_;
  std::unordered_map<std::string, std::uint64_t> function_ids_;
  std::unordered_map<std::uintptr_t, std::uint64_t> location_ids_;
  std::string out_bytes_, tables_;
  message out_{out_bytes_};
};

}  // namespace

std::string write_proto(std::string_view profile_name, std::span<const sample> samples, bool leak_labels,
                        std::int64_t duration_ns, std::span<const std::string> incomplete,
                        std::span<const std::string> likely) {
  builder b;
  b.value_type(field::profile::sample_type, profile_name, "count");
  if (leak_labels) b.value_type(field::profile::sample_type, "bytes_retained", "bytes");
  b.value_type(field::profile::period_type, profile_name, "count");
  b.number(field::profile::period, 1);
  auto now = std::chrono::system_clock::now().time_since_epoch();
  b.number(field::profile::time_nanos, std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  if (duration_ns != 0) b.number(field::profile::duration_nanos, duration_ns);
  if (leak_labels) b.default_type(profile_name);
  for (const std::string& line : comment_lines(incomplete, likely)) b.comment(line);
  for (const sample& s : samples) b.sample(s, leak_labels);
  return gzip(b.finish());
}

}  // namespace stray::profile
