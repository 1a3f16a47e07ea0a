// Names for the points of a scatter chart: annotations beside their points that cover neither points nor each other.
// Takes the chart's width and its layout, whose ranges and margins are fixed; a name far from its point gets a line.
// Where there is room for numbers only, these stand for the names in the list below the chart.
const placedNames = (width, layout, font, numbered) => {
  "use strict";
  const { l, r, t, b } = layout.margin;
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = font;
  const along = (value, [low, high]) => (value - low) / (high - low);
  const frame = { left: 2, right: width - 2, top: t - 8, bottom: layout.height - b - 1 };
  const points = layout.meta.labels.map((label, index) => ({
    ...label,
    text: numbered ? `${index + 1}` : label.text,
    px: l + along(label.x, layout.xaxis.range) * (width - l - r),
    py: t + (1 - along(label.y, layout.yaxis.range)) * (layout.height - t - b),
  }));
  const box = (x, y, w, h) => ({ left: x, right: x + w, top: y - h / 2, bottom: y + h / 2 });
  const meet = (p, q) => p.left < q.right && q.left < p.right && p.top < q.bottom && q.top < p.bottom;
  const inside = (p) => p.left >= l + 2 && p.right <= frame.right && p.top >= frame.top && p.bottom <= frame.bottom;
  const marks = points.map(({ px, py }) => box(px - 6, py, 12, 12));
  const taken = [];
  const lines = [];
  const plain = (markup) => new DOMParser().parseFromString(markup, "text/html").body.textContent;

  const between = (p, q) => [0.2, 0.4, 0.6, 0.8, 0.97].map((s) => box(p.x + s * (q.x - p.x) - 1, p.y + s * (q.y - p.y), 2, 2));
  const candidates = function* (point) {
    const [w, h] = [pen.measureText(plain(point.text)).width + 4, 14];
    for (const reach of [0, 12, 20, 30, 42, 56, 72, 90, 110, 135, 165, 200]) {
      for (const turn of reach ? [0, 0.25, -0.25, 0.5, -0.5, 0.75, -0.75, 1, -1] : [0]) {
        for (const side of [1, -1]) {
          const dx = side * (9 + reach * Math.cos(turn * Math.PI / 2));
          const dy = -reach * Math.sin(turn * Math.PI / 2);
          const x = point.px + dx;
          yield { dx, dy, side, far: reach > 0, box: box(side > 0 ? x : x - w, point.py + dy, w, h) };
        }
      }
    }
  };
  const isFree = (point, index, place) => {
    const away = (other) => !meet(place.box, other);
    if (!inside(place.box) || !taken.every(away) || !lines.every(away)) return false;
    if (!marks.every((mark, other) => other === index || away(mark))) return false;
    if (!place.far) return true;
    const line = between({ x: point.px, y: point.py }, { x: point.px + place.dx, y: point.py + place.dy });
    return line.every((dot) => taken.every((other) => !meet(dot, other)));
  };

  return points.flatMap((point, index) => {
    let place = null;
    for (const candidate of candidates(point)) {
      if (isFree(point, index, candidate)) { place = candidate; break; }
    }
    if (!place) return [];
    taken.push(place.box);
    if (place.far) lines.push(...between({ x: point.px, y: point.py }, { x: point.px + place.dx, y: point.py + place.dy }));
    return [{
      x: point.x, y: point.y, ax: place.dx, ay: place.dy, xanchor: place.side > 0 ? "left" : "right", yanchor: "middle",
      text: point.text, showarrow: true, arrowhead: 0, arrowwidth: 1, standoff: 6, borderpad: 0, bgcolor: "rgba(0,0,0,0)",
      arrowcolor: place.far ? "var(--middle)" : "rgba(0,0,0,0)", font: { size: 11, color: point.faint ? "var(--soft)" : "var(--ink)" },
    }];
  });
};
