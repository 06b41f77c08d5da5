"""Pages that need no network: a run, an explanation, answers; the extra ``report``."""

from torch_geometric_dsom.report.confusions import Confusion, confusions
from torch_geometric_dsom.report.pages import answers_page, explanation_page
from torch_geometric_dsom.report.run_report import RunReport, make_report

__all__ = ["Confusion", "RunReport", "answers_page", "confusions", "explanation_page", "make_report"]
