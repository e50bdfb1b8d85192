"""Result tables to plotly figures: the only part that imports plotly."""

from steerlens.plotting.effects import effects_bars, response_lines
from steerlens.plotting.heatmaps import separability_heatmap, sweep_heatmap
from steerlens.plotting.lines import cosine_lines, separability_lines
from steerlens.plotting.planes import plane_figure

__all__ = [
    "cosine_lines",
    "effects_bars",
    "plane_figure",
    "response_lines",
    "separability_heatmap",
    "separability_lines",
    "sweep_heatmap",
]
