// Draws the figures of a page in the page's width and colours. Draws them again when the width or the colours change.
{
  const narrow = 480;
  const printed = { page: [690, 0.6], half: [335, 0.75] }; // the printed width in pixels, and the factor on the height
  const dark = JSON.parse(document.getElementById("dark").textContent);
  const night = matchMedia("(prefers-color-scheme: dark)"), touched = matchMedia("(pointer: coarse)");
  const plots = [...document.querySelectorAll(".plotly-graph-div")];

  const hex = (...parts) => "#" + parts.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("");
  const said = new Set(["text", "customdata", "hovertext", "ticktext", "name", "x", "y", "labels", "meta"]); // words, not colours
  function nightly(colour) {
    const [red, green, blue, alpha] = colour.startsWith("rgba(") ? colour.match(/[\d.]+/g).map(Number) : [];
    const other = dark[alpha === undefined ? colour : hex(red, green, blue)];
    return other ? `${other}${alpha === undefined ? "" : hex(255 * alpha).slice(1)}` : colour;
  }
  function inTheDark(part) {
    if (typeof part === "string") return nightly(part);
    if (Array.isArray(part)) return part.map(inTheDark);
    if (part === null || typeof part !== "object") return part;
    const isWords = (key, inner) => said.has(key) && (typeof inner === "string" || Array.isArray(inner)); // title.text, not layout.title
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, isWords(key, inner) ? inner : inTheDark(inner)]));
  }

  function tightened({ data, layout }) {
    layout.margin = { ...layout.margin, l: 48, r: 8 };
    layout.font = { ...layout.font, size: 12 };
    for (const note of layout.annotations ?? []) note.font = { ...note.font, size: 10 };
    if (layout.legend) layout.legend.font = { size: 11 };
    for (const trace of data) {
      if (!trace.colorbar) continue;
      const title = { ...trace.colorbar.title, side: "top", text: (trace.colorbar.title?.text ?? "").replace("<br>", " ") };
      const place = { orientation: "h", x: 0.5, xanchor: "center", y: 1, yanchor: "bottom", len: 1, thickness: 10 };
      trace.colorbar = { ...trace.colorbar, ...place, title, tickfont: { size: 10 } };
      layout.height += 46 - (layout.margin.t ?? 100);
      layout.margin.t = 46;
    }
    if (!layout.xaxis2 && !data.some((trace) => trace.colorbar)) layout.height = Math.min(layout.height, 440);
  }

  function draw(place, width = place.clientWidth, isDark = night.matches, left = 1) {
    const text = place.parentElement.querySelector("script").textContent;
    const figure = isDark ? inTheDark(JSON.parse(text)) : JSON.parse(text);
    if (width < narrow) tightened(figure);
    Object.assign(figure.layout, { width, height: left * figure.layout.height, autosize: false });
    place.style.height = `${figure.layout.height}px`;
    if (touched.matches) figure.layout.dragmode = false; // on a touch screen, a finger scrolls the page
    Plotly.react(place, figure.data, figure.layout, { displaylogo: false, showSendToCloud: false, displayModeBar: width < narrow ? false : "hover" });
  }

  async function drawAll() {
    for (const place of plots) {
      draw(place);
      await new Promise((done) => setTimeout(done)); // the page can react between two figures
    }
    document.documentElement.dataset.drawn = plots.length;
  }

  let soon;
  addEventListener("resize", () => {
    clearTimeout(soon);
    soon = setTimeout(drawAll, 150);
  });
  night.addEventListener("change", drawAll);
  addEventListener("beforeprint", () => {
    for (const more of document.querySelectorAll("details")) more.open = true;
    for (const place of plots) {
      const [width, left] = printed[place.dataset.width];
      draw(place, width, false, left);
    }
  });
  addEventListener("afterprint", drawAll);
  drawAll();
}
