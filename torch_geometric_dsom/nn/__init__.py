"""Scorers: a query tower times an entity table."""

from torch_geometric_dsom.nn.complex import ComplEx, ComplExInteraction
from torch_geometric_dsom.nn.distmult import DistMult, DistMultInteraction
from torch_geometric_dsom.nn.frequency_scorer import FrequencyScorer
from torch_geometric_dsom.nn.functional import (
    complex_query,
    gathering,
    n3_penalty,
    n3_penalty_real,
    negative_distance,
    rows,
)
from torch_geometric_dsom.nn.guide import Guide
from torch_geometric_dsom.nn.guided_scorer import GuidedScorer
from torch_geometric_dsom.nn.interaction import Interaction
from torch_geometric_dsom.nn.mixture import SumInteraction
from torch_geometric_dsom.nn.modality_teacher import ModalityTeacher, standardize
from torch_geometric_dsom.nn.path_scorer import PathScorer
from torch_geometric_dsom.nn.precision import fast_matmul, narrow_dtype, plain_matmul, product
from torch_geometric_dsom.nn.product_of_experts import is_mean_of, product_of_experts
from torch_geometric_dsom.nn.registry import (
    GUIDES,
    INTERACTIONS,
    SCORERS,
    guide_from_config,
    make_guided_scorer,
    make_interaction,
    make_scorer,
)
from torch_geometric_dsom.nn.ridge_scorer import RidgeScorer
from torch_geometric_dsom.nn.rotate import RotatE, RotatEInteraction
from torch_geometric_dsom.nn.rule_scorer import Rule, RuleScorer
from torch_geometric_dsom.nn.scorer import EmbeddingScorer, Scorer
from torch_geometric_dsom.nn.sharded_scorer import ShardedScorer
from torch_geometric_dsom.nn.strongest_paths import Path, strongest_paths
from torch_geometric_dsom.nn.tangent import score_tangent
from torch_geometric_dsom.nn.transe import TransE, TransEInteraction
from torch_geometric_dsom.nn.tucker import TuckER, TuckERInteraction
from torch_geometric_dsom.nn.workspace import Workspace, piece_rows, rows_within

__all__ = [
    "GUIDES",
    "INTERACTIONS",
    "SCORERS",
    "ComplEx",
    "ComplExInteraction",
    "DistMult",
    "DistMultInteraction",
    "EmbeddingScorer",
    "FrequencyScorer",
    "Guide",
    "GuidedScorer",
    "Interaction",
    "ModalityTeacher",
    "Path",
    "PathScorer",
    "RidgeScorer",
    "RotatE",
    "RotatEInteraction",
    "Rule",
    "RuleScorer",
    "Scorer",
    "ShardedScorer",
    "SumInteraction",
    "TransE",
    "TransEInteraction",
    "TuckER",
    "TuckERInteraction",
    "Workspace",
    "complex_query",
    "fast_matmul",
    "gathering",
    "guide_from_config",
    "is_mean_of",
    "make_guided_scorer",
    "make_interaction",
    "make_scorer",
    "n3_penalty",
    "n3_penalty_real",
    "narrow_dtype",
    "negative_distance",
    "piece_rows",
    "plain_matmul",
    "product",
    "product_of_experts",
    "rows",
    "rows_within",
    "score_tangent",
    "standardize",
    "strongest_paths",
]
