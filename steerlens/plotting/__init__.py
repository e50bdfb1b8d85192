"""Result tables to plotly figures, which save themselves; the only part that imports plotly."""

from steerlens.plotting.effects import effects_bars, response_lines
from steerlens.plotting.figure import Figure
from steerlens.plotting.forests import forest_figure, forest_rows
from steerlens.plotting.forms import form_bars
from steerlens.plotting.heatmaps import answers_heatmap, separability_heatmap
from steerlens.plotting.layers import (
    cosine_lines,
    erasure_lines,
    geometry_heatmap,
    geometry_lines,
    lens_lines,
    permutation_lines,
    selectivity_lines,
    separability_lines,
)
from steerlens.plotting.planes import plane_figure, plane_panels
from steerlens.plotting.searches import front_figure, regret_heatmap
from steerlens.plotting.sweeps import sweep_heatmap

__all__ = [
    "Figure",
    "answers_heatmap",
    "cosine_lines",
    "effects_bars",
    "erasure_lines",
    "forest_figure",
    "forest_rows",
    "form_bars",
    "front_figure",
    "geometry_heatmap",
    "geometry_lines",
    "lens_lines",
    "permutation_lines",
    "plane_figure",
    "plane_panels",
    "regret_heatmap",
    "response_lines",
    "selectivity_lines",
    "separability_heatmap",
    "separability_lines",
    "sweep_heatmap",
]
