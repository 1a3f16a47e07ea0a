// Draws each figure when it comes near the screen, in the colors of the page, and again when the color scheme changes.
(() => {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const plots = [...document.querySelectorAll("[data-figure]")];
  const drawn = new Set();
  const phone = matchMedia("(max-width: 40rem)"); // as in the style, which then shows the list of names
  const styles = () => getComputedStyle(document.documentElement);

  // Plotly takes no CSS variables: replace every "var(--name)" by its present value.
  const resolve = (value, style) => {
    if (typeof value === "string") {
      return value.startsWith("var(") ? style.getPropertyValue(value.slice(4, -1)).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => resolve(item, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, style)]));
  };

  const themed = (layout, narrow) => {
    const axis = {
      automargin: true, gridcolor: "var(--grid)", linecolor: "var(--line)", zerolinecolor: "var(--line)", showline: true,
      tickfont: { color: "var(--soft)" }, zeroline: false,
    };
    const withTitle = (given) => ({
      ...axis, ...given, title: { standoff: 10, font: { color: "var(--soft)", size: 12 }, ...(given || {}).title },
    });
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true,
      font: { family: "var(--sans)", size: narrow ? 11 : 12, color: "var(--ink)" },
      margin: { l: narrow ? 44 : 56, r: 12, t: layout.showlegend ? 34 : 16, b: 44 },
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" },
      hoverlabel: { bgcolor: "var(--card)", bordercolor: "var(--line)", font: { color: "var(--ink)" } },
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      ...layout, xaxis: withTitle(layout.xaxis), yaxis: withTitle(layout.yaxis),
    };
  };

  const draw = (plot) => {
    const style = styles();
    const figure = figures[Number(plot.dataset.figure)];
    const layout = themed(figure.layout, plot.clientWidth < 480);
    if (layout.meta?.labels) layout.annotations = placedNames(plot.clientWidth, layout, `11px ${getComputedStyle(plot).fontFamily}`, phone.matches);
    const config = { displayModeBar: false };
    drawn.add(plot);
    return Plotly.react(plot, resolve(figure.data, style), resolve(layout, style), config);
  };

  const widths = new Map();
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (drawn.has(target) && widths.get(target) !== target.clientWidth) draw(target);
      widths.set(target, target.clientWidth);
    }
  });

  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        watcher.unobserve(entry.target);
        draw(entry.target);
      }
    }
  }, { rootMargin: "400px" });
  plots.forEach((plot) => { watcher.observe(plot); sizes.observe(plot); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach(draw));
  addEventListener("beforeprint", () => document.querySelectorAll("details.block").forEach((block) => { block.open = true; }));
  addEventListener("beforeprint", () => plots.filter((plot) => !drawn.has(plot)).forEach(draw));
})();
