// debug=2: one paragraph a goroutine.
//
// 1. The order is the caller's. Paragraphs are parted by a blank line; the text ends with one newline, as Go's.
// 2. Why it is incomplete, and who is no more than likely, comes first, as a paragraph of lines `# incomplete: REASON`, `# likely: ...`.
// 3. Inlined lines have no offset, since they have no frame; the offset counts to the return address.

#include "base/first_failure.h"
#include "base/format.h"
#include "base/printable.h"
#include "profile/formats.h"
#include "profile/text.h"

namespace stray::profile {

namespace {

void write_position(std::string& out, const source_line& line, bool inlined) {
  out += '\t';
  out += position(line);
  if (!inlined) out += base::format(" +{:#x}", line.offset + 1);
  out += '\n';
}

// The last line of a location is the frame itself; those before it are inlined into it.
bool is_inlined(std::uintptr_t pc, const source_line& line) { return &line != &symbolize(pc).back(); }

void write_header(std::string& out, const stack_entry& e) {
  if (e.thread_name.empty())
    out += base::format("goroutine {} [{}", e.id, e.state);
  else
    out += base::format("thread {} ({}) [{}", e.id, base::printable(e.thread_name), e.state);
  if (e.minutes > 0) out += base::format(", {} minutes", e.minutes);
  if (e.locked_to_thread) out += ", locked to thread";
  out += ']';
  if (!e.labels.empty()) out.append(" ").append(label_set(e.labels, ": "));
  out += ":\n";
}

void write_entry(std::string& out, const stack_entry& e) {
  write_header(out, e);
  if (e.pcs.empty()) {
    out += '\t';
    out += e.no_stack.empty() ? "stack unavailable" : e.no_stack;
    out += '\n';
  }
  for (const shown_line& shown : shown_lines(e.pcs)) {
    out += base::printable(shown.line->function);
    out += "(...)\n";
    write_position(out, *shown.line, is_inlined(shown.pc, *shown.line));
  }
  if (e.created_by_pc == 0) return;
  // The creator is who called `go`: the first line that is not the runtime's.
  std::uintptr_t pc = e.created_by_pc - 1;
  const auto& lines = symbolize(pc);
  const source_line* creator = &lines.back();
  for (const source_line& line : lines)
    if (!is_runtime(line)) {
      creator = &line;
      break;
    }
  out.append("created by ").append(base::printable(creator->function));
  if (e.creator_id != 0) out += base::format(" in goroutine {}", e.creator_id);
  out += '\n';
  write_position(out, *creator, is_inlined(pc, *creator));
}

}  // namespace

std::string write_stacks(std::span<const stack_entry> entries, std::span<const std::string> incomplete,
                         std::span<const std::string> likely) {
  std::string out = comments(incomplete, likely);
  for (const stack_entry& e : entries) {
    base::report_grows();
    if (!out.empty()) out += '\n';
    write_entry(out, e);
  }
  return out;
}

}  // namespace stray::profile
