// Draws the figures that the directive `result` left as JSON.
addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll(".result-figure")) {
    const { data, layout } = JSON.parse(place.querySelector("script").textContent);
    Plotly.newPlot(place, data, { ...layout, autosize: true }, { displaylogo: false, responsive: true });
  }
});
