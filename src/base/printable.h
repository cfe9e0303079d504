// Text that comes from others (names, labels, files, answers of servers) made fit to be printed: it moves no cursor, begins no line and turns no
// other text around.
//
// 1. Escaped as Go's strconv.Quote does it are: control characters (\n, \x1b, \u0085), bytes that are no UTF-8 (\xff), and the characters that
//    end a line or change the direction of writing without being seen (\u2028, \u202e). All others stay as they are.
// 2. The result is valid UTF-8, on one line, and printable() leaves it as it is.
// 3. Only quoted() can be read back: printable() does not touch a backslash, so that ordinary names stay what they are.
// Runs anywhere; allocates.
#pragma once

#include <string>
#include <string_view>

namespace stray::base {

std::string printable(std::string_view text);
// Of a text with lines of its own: line feeds and tabs stay.
std::string printable_lines(std::string_view text);
// "a\tb", in quotes; the hard space is escaped too, as Go does.
std::string quoted(std::string_view text);
// One word of a list like `key=value key=value`: as it is, or quoted when it is empty or has blanks, quotes, backslashes, '=' or what printable()
// escapes. So no value can look like another pair.
std::string as_word(std::string_view text);

}  // namespace stray::base
