"""REPORTS: one self-contained HTML page, made from the result files of runs and from nothing else."""

from vqdna.reports.render import write_report
from vqdna.reports.summary import write_summary

__all__ = ["write_report", "write_summary"]
