// Draws who waits for whom as SVG: boxes in layers, an arrow from who waits to whom it waits for, cycles in red.
#pragma once

#include <span>
#include <string>

namespace stray::serve {

struct graph_box {
  std::string title, line, href;  // href: empty for none
};
struct graph_arrow {
  std::size_t from, to;
  std::string label;
};

// Empty when there is no box. Quadratic in the boxes: for at most a hundred.
std::string draw_waits(std::span<const graph_box> boxes, std::span<const graph_arrow> arrows);

// & < > " as entities: text may stand between tags and in attributes. And printable, but for line feeds and tabs (base/printable.h): the page is
// copied into terminals, and U+202E shows another source than the compiler reads.
std::string html(std::string_view text);
// At most so many characters, cut in the middle.
std::string shortened(std::string_view text, std::size_t most);

}  // namespace stray::serve
