"""Scorers: a query tower times an entity table."""

from torch_geometric_dsom.nn.complex import ComplEx, ComplExScorer
from torch_geometric_dsom.nn.functional import complex_query, n3_penalty
from torch_geometric_dsom.nn.modality_teacher import ModalityTeacher, standardize
from torch_geometric_dsom.nn.precision import fast_matmul
from torch_geometric_dsom.nn.product_of_experts import product_of_experts

__all__ = [
    "ComplEx",
    "ComplExScorer",
    "ModalityTeacher",
    "complex_query",
    "fast_matmul",
    "n3_penalty",
    "product_of_experts",
    "standardize",
]
