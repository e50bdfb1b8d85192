"""Writes the HTML report of a study."""

from steerlens.report.html import write_report

__all__ = ["write_report"]
