"""This package fits tails of distributions: power laws, their competitors, and tests for dependent values.

`fit_tail` runs the whole examination; the modules below it can be used alone.
"""

from analysis.tails.bootstrap import cluster_interval, goodness_of_fit, value_interval
from analysis.tails.fit import Resampling, TailFit, fit_tail
from analysis.tails.histogram import Histogram, histogram
from analysis.tails.powerlaw import LeastTail, PowerLaw, fit_at, select_xmin, xmin_curve
from analysis.tails.verdict import SampleDesign, Verdict

__all__ = [
    "Histogram",
    "LeastTail",
    "PowerLaw",
    "Resampling",
    "SampleDesign",
    "TailFit",
    "Verdict",
    "cluster_interval",
    "fit_at",
    "fit_tail",
    "goodness_of_fit",
    "histogram",
    "select_xmin",
    "value_interval",
    "xmin_curve",
]
