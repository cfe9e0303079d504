#include "serve/wait_svg.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "base/format.h"
#include "base/printable.h"

namespace stray::serve {

namespace {

constexpr int box_width = 250, box_height = 46, gap_x = 40, gap_y = 64, boxes_a_row = 4, margin = 30;

class drawing {
 public:
  drawing(std::span<const graph_box> boxes, std::span<const graph_arrow> arrows) : boxes_(boxes), arrows_(arrows) {
    find_cycles();
    find_layers();
    place();
  }

  std::string text() const {
    std::string out = base::format(
        "<svg viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\" role=\"img\" aria-label=\"who waits for whom\">\n<defs>", width_,
        height_, width_, height_);
    for (const char* kind : {"arrow", "ring"})
      out += base::format(
          "<marker id=\"{}\" class=\"{}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" "
          "orient=\"auto-start-reverse\"><path d=\"M0 0L10 5L0 10z\"/></marker>",
          kind, kind);
    out += "</defs>\n";
    for (const graph_arrow& a : arrows_) out += arrow(a);
    for (std::size_t i = 0; i < boxes_.size(); i++) out += box(i);
    return out + "</svg>\n";
  }

 private:
  bool same_cycle(std::size_t a, std::size_t b) const { return reaches_[a][b] && reaches_[b][a]; }

  void find_cycles() {
    std::size_t n = boxes_.size();
    reaches_.assign(n, std::vector<bool>(n));
    for (const graph_arrow& a : arrows_) reaches_[a.from][a.to] = true;
    for (std::size_t via = 0; via < n; via++)
      for (std::size_t i = 0; i < n; i++)
        for (std::size_t j = 0; reaches_[i][via] && j < n; j++)
          if (reaches_[via][j]) reaches_[i][j] = true;
  }

  // The longest way from one that nobody waits for; all of a cycle share one.
  void find_layers() {
    layer_.assign(boxes_.size(), 0);
    for (bool moved = true; moved;) {
      moved = false;
      for (const graph_arrow& a : arrows_) {
        if (same_cycle(a.from, a.to) || layer_[a.to] > layer_[a.from]) continue;
        int down = layer_[a.from] + 1;
        for (std::size_t i = 0; i < boxes_.size(); i++)
          if (i == a.to || same_cycle(i, a.to)) layer_[i] = std::max(layer_[i], down);
        moved = true;
      }
    }
  }

  void place() {
    at_.resize(boxes_.size());
    int y = margin, rows_width = 0;
    int layers = boxes_.empty() ? 0 : *std::max_element(layer_.begin(), layer_.end()) + 1;
    for (int l = 0; l < layers; l++) {
      std::vector<std::size_t> row;
      for (std::size_t i = 0; i < boxes_.size(); i++)
        if (layer_[i] == l) row.push_back(i);
      std::vector<double> wish(boxes_.size());  // below those that wait for it
      for (std::size_t i : row) wish[i] = mean_of_waiters(i);
      std::stable_sort(row.begin(), row.end(), [&](std::size_t a, std::size_t b) { return wish[a] < wish[b]; });
      for (std::size_t k = 0; k < row.size(); k++) {
        int column = static_cast<int>(k % boxes_a_row);
        if (k != 0 && column == 0) y += box_height + gap_y / 2;
        at_[row[k]] = {margin + column * (box_width + gap_x), y};
        rows_width = std::max(rows_width, at_[row[k]].x + box_width);
      }
      y += box_height + gap_y;
    }
    width_ = rows_width + 2 * margin;
    height_ = std::max(y - gap_y + margin, 0);
  }

  double mean_of_waiters(std::size_t box) const {
    double sum = 0;
    int n = 0;
    for (const graph_arrow& a : arrows_) {
      if (a.to != box || layer_[a.from] >= layer_[box]) continue;
      sum += at_[a.from].x;
      n++;
    }
    return n == 0 ? 0 : sum / n;
  }

  std::string box(std::size_t i) const {
    const graph_box& b = boxes_[i];
    auto [x, y] = at_[i];
    std::string text = base::format(
        "<g class=\"{}\"><title>{}\n{}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\"/>"
        "<text x=\"{}\" y=\"{}\" class=\"name\">{}</text><text x=\"{}\" y=\"{}\">{}</text></g>",
        reaches_[i][i] ? "box ring" : "box", html(b.title), html(b.line), x, y, box_width, box_height, x + 10, y + 19,
        html(shortened(b.title, 33)), x + 10, y + 36, html(shortened(b.line, 38)));
    return b.href.empty() ? text + "\n" : base::format("<a href=\"{}\">{}</a>\n", html(b.href), text);
  }

  std::string arrow(const graph_arrow& a) const {
    auto [ax, ay] = at_[a.from];
    auto [bx, by] = at_[a.to];
    bool ring = same_cycle(a.from, a.to);
    int x1 = ax + box_width / 2, y1 = ay + box_height, x2 = bx + box_width / 2, y2 = by, c1 = y1 + gap_y / 2,
        c2 = y2 - gap_y / 2;
    if (a.from == a.to) {
      x1 = ax + box_width - 40, x2 = ax + box_width - 15, y2 = ay + box_height, c2 = c1;
    } else if (ay >= by) {  // sideways or up: one way below the boxes, the way back above
      bool below = ax <= bx;
      x1 += below ? 30 : -30, x2 += below ? -30 : 30;
      y1 = below ? ay + box_height : ay, y2 = below ? by + box_height : by;
      c1 = c2 = below ? std::max(y1, y2) + gap_y / 2 : std::min(y1, y2) - gap_y / 2 + 4;
    }
    std::string path = base::format("<path class=\"{}\" d=\"M{} {}C{} {} {} {} {} {}\" marker-end=\"url(#{})\"/>",
                                    ring ? "wait ring" : "wait", x1, y1, x1, c1, x2, c2, x2, y2, ring ? "ring" : "arrow");
    if (a.label.empty()) return path + "\n";
    return path + base::format("<text class=\"label\" x=\"{}\" y=\"{}\">{}</text>\n", (x1 + x2) / 2 + 6,
                               (y1 + 3 * c1 + 3 * c2 + y2) / 8 + 4, html(a.label));
  }

  struct point {
    int x = 0, y = 0;
  };
  std::span<const graph_box> boxes_;
  std::span<const graph_arrow> arrows_;
  std::vector<std::vector<bool>> reaches_;  // over one arrow at least
  std::vector<int> layer_;
  std::vector<point> at_;
  int width_ = 0, height_ = 0;
};

}  // namespace

std::string html(std::string_view text) {
  std::string out;
  for (char c : base::printable_lines(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string shortened(std::string_view text, std::size_t most) {
  if (text.size() <= most) return std::string(text);
  std::size_t tail = most / 2, head = most - tail - 1;
  auto inside = [&](std::size_t i) { return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80; };  // of a UTF-8 character
  while (head > 0 && inside(head)) head--;
  std::size_t from = text.size() - tail;
  while (from < text.size() && inside(from)) from++;
  return std::string(text.substr(0, head)) + "\u2026" + std::string(text.substr(from));
}

std::string draw_waits(std::span<const graph_box> boxes, std::span<const graph_arrow> arrows) {
  return boxes.empty() ? std::string() : drawing(boxes, arrows).text();
}

}  // namespace stray::serve
