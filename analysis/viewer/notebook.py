"""This module gives results their HTML for a notebook: the pictures and tables of the report, and no script.

Each function is an entry point of the group ``agentsoc.notebook``; see `agentsoc.log.notebook`.
"""

from __future__ import annotations

from typing import Final

from agentsoc.log.read import RunLog
from analysis.cascade_laws.examine import Laws
from analysis.cascade_laws.report import LawsReport
from analysis.comparison.report import Report
from analysis.comparison.text import report_as_dict
from analysis.synergy.estimation.measured import measured_from
from analysis.synergy.estimation.phase_estimate import PhaseEstimate
from analysis.synergy.phase_report import PhaseReport
from analysis.synergy.planning.design import DesignReport
from analysis.synergy.planning.recommend import Recommendation
from analysis.viewer.blocks import figure_of, paragraph, verbatim
from analysis.viewer.charts.plans import plan_chart
from analysis.viewer.document.parts import STYLE, html_of
from analysis.viewer.document.result_sections import compare_html, laws_html, phase_html
from analysis.viewer.document.run_section import run_html
from analysis.viewer.pages.compare import compare_page
from analysis.viewer.pages.laws import laws_page
from analysis.viewer.pages.phase import phase_page
from analysis.viewer.pages.plan import plan_page
from analysis.viewer.pages.run import run_page, run_sentence
from analysis.viewer.pages.store import open_log

EVENTS_MAX: Final = 500_000
"""Events up to which a run is drawn in a notebook."""


def shown_run(run: RunLog) -> str:
    """Return a run as HTML; of a very large one its summary."""
    if run.manifest.totals.events > EVENTS_MAX:
        return _framed(html_of([*paragraph(run_sentence(run.manifest), "said"), *verbatim(run)]))
    return _framed(run_html(run_page(open_log(run.directory))))


def shown_comparison(report: Report) -> str:
    """Return a comparison as HTML."""
    return _framed(compare_html(compare_page(report_as_dict(report), report.results.directory)))


def shown_laws(laws: Laws | LawsReport) -> str:
    """Return laws as HTML."""
    report = laws if isinstance(laws, LawsReport) else LawsReport(laws, (), ())
    return _framed(laws_html(laws_page(report.as_dict())))


def shown_phase(phase: PhaseEstimate | PhaseReport) -> str:
    """Return a phase as HTML."""
    if isinstance(phase, PhaseReport):
        return _framed(phase_html(phase_page(phase.measured, phase.ignored)))
    return _framed(phase_html(phase_page(measured_from(phase, message=0, message_cost=0.0))))


def shown_plan(plan: Recommendation | DesignReport) -> str:
    """Return a plan as HTML."""
    page = plan_page(plan)
    blocks = [*paragraph(page.sentence, "said"), *figure_of(plan_chart(page)), *verbatim(page.text)]
    return _framed(html_of(blocks))


def _framed(html: str) -> str:
    return f'<div class="agentsoc"><style>{STYLE}</style>{html}</div>'
