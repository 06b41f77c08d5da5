"""Evaluation: filtered ranks, metrics and the certainty of a difference."""

from torch_geometric_dsom.evaluation.bootstrap import BootstrapResult, paired_bootstrap
from torch_geometric_dsom.evaluation.breakdown import BREAKDOWNS, Breakdown, Bucket, breakdown
from torch_geometric_dsom.evaluation.calibration import Calibration, bin_confidences, calibration, fit_temperature
from torch_geometric_dsom.evaluation.evaluator import evaluate
from torch_geometric_dsom.evaluation.metrics import RankingMetrics, RankingResult
from torch_geometric_dsom.evaluation.ranking import Ranks, filtered_ranks
from torch_geometric_dsom.evaluation.scoring import TailScorer, device_of, score_into
from torch_geometric_dsom.evaluation.weighted_ranks import weighted_ranks

__all__ = [
    "BREAKDOWNS",
    "BootstrapResult",
    "Breakdown",
    "Bucket",
    "Calibration",
    "RankingMetrics",
    "RankingResult",
    "Ranks",
    "TailScorer",
    "bin_confidences",
    "breakdown",
    "calibration",
    "device_of",
    "evaluate",
    "filtered_ranks",
    "fit_temperature",
    "paired_bootstrap",
    "score_into",
    "weighted_ranks",
]
