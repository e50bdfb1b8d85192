"""Turns result tables into plotly figures with a ``save`` method. No other part of steerlens imports plotly."""

from steerlens.plotting.depths import depth_figure
from steerlens.plotting.effects import effects_bars, response_lines
from steerlens.plotting.figure import Figure
from steerlens.plotting.forests import forest_figure, forest_rows
from steerlens.plotting.forms import form_bars
from steerlens.plotting.frontiers import frontier_figure
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
from steerlens.plotting.pairs import pairs_figure
from steerlens.plotting.planes import plane_figure, plane_panels
from steerlens.plotting.prompts import choice_bars, margin_curve, residual_scatter, token_lens_heatmap
from steerlens.plotting.searches import front_figure, regret_heatmap
from steerlens.plotting.sweeps import sweep_by_locale, sweep_heatmap
from steerlens.plotting.training import inside_figure, training_figure

__all__ = [
    "Figure",
    "answers_heatmap",
    "choice_bars",
    "cosine_lines",
    "depth_figure",
    "effects_bars",
    "erasure_lines",
    "forest_figure",
    "forest_rows",
    "form_bars",
    "front_figure",
    "frontier_figure",
    "geometry_heatmap",
    "geometry_lines",
    "inside_figure",
    "lens_lines",
    "margin_curve",
    "pairs_figure",
    "permutation_lines",
    "plane_figure",
    "plane_panels",
    "regret_heatmap",
    "residual_scatter",
    "response_lines",
    "selectivity_lines",
    "separability_heatmap",
    "separability_lines",
    "sweep_by_locale",
    "sweep_heatmap",
    "token_lens_heatmap",
    "training_figure",
]
