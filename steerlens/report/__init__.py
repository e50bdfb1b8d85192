"""The HTML report of a study."""

from steerlens.report.html import verdict, write_report

__all__ = ["verdict", "write_report"]
