"""This package has the statistics of comparisons: intervals, paired differences, power, regression and selector."""

from analysis.interval import Interval
from analysis.stats.alternatives import alternatives
from analysis.stats.clusters import TaskSums, sums_by_task
from analysis.stats.configurations import configurations
from analysis.stats.discordant import Discordant
from analysis.stats.looks import look_levels
from analysis.stats.margins import WithinMargin, within_margin
from analysis.stats.paired import MeanRow, PairedComparison, PairedRow, compare_paired
from analysis.stats.permutation import holm, sign_flip_p
from analysis.stats.planning import Alternatives
from analysis.stats.pooled import Pooled, random_effects
from analysis.stats.power import Components, components, detectable, tasks_needed
from analysis.stats.proportions import clopper_pearson, mean_interval, wilson
from analysis.stats.regression import PredictorFit, fit_predictors
from analysis.stats.selector import SelectorReport, evaluate_selector

__all__ = [
    "Alternatives",
    "Components",
    "Discordant",
    "Interval",
    "MeanRow",
    "PairedComparison",
    "PairedRow",
    "Pooled",
    "PredictorFit",
    "SelectorReport",
    "TaskSums",
    "WithinMargin",
    "alternatives",
    "clopper_pearson",
    "compare_paired",
    "components",
    "configurations",
    "detectable",
    "evaluate_selector",
    "fit_predictors",
    "holm",
    "look_levels",
    "mean_interval",
    "random_effects",
    "sign_flip_p",
    "sums_by_task",
    "tasks_needed",
    "wilson",
    "within_margin",
]
