"""REPORTS: one self-contained HTML page, made from the result files of runs and from nothing else."""

from vqdna.reports.main_numbers import write_summary
from vqdna.reports.page import write_report

__all__ = ["write_report", "write_summary"]
