"""Statistics of comparisons: intervals, paired differences, power, the predictive regression and the selector."""

from .clusters import TaskSums, sums_by_task
from .configurations import configurations
from .interval import Interval
from .paired import MeanRow, PairedComparison, PairedRow, compare_paired
from .permutation import holm, sign_flip_p
from .power import Components, components, detectable, tasks_needed
from .proportions import clopper_pearson, mean_interval, wilson
from .regression import PredictorFit, fit_predictors
from .selector import SelectorReport, evaluate_selector

__all__ = [
    "Components",
    "Interval",
    "MeanRow",
    "PairedComparison",
    "PairedRow",
    "PredictorFit",
    "SelectorReport",
    "TaskSums",
    "clopper_pearson",
    "compare_paired",
    "components",
    "configurations",
    "detectable",
    "evaluate_selector",
    "fit_predictors",
    "holm",
    "mean_interval",
    "sign_flip_p",
    "sums_by_task",
    "tasks_needed",
    "wilson",
]
