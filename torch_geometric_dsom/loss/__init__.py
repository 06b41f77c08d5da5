"""Losses: pure functions of tensors, and thin modules around them."""

from torch_geometric_dsom.loss.cross_entropy import grouped_cross_entropy
from torch_geometric_dsom.loss.mixed_kd import SoftLabels, StudentView, mixed_kd_loss, soft_labels, view_student
from torch_geometric_dsom.loss.neighbor_decoupled_kd import (
    KDTerms,
    NeighborDecoupledKDLoss,
    neighbor_decoupled_kd_loss,
    neighbor_decoupled_kd_terms,
)

__all__ = [
    "KDTerms",
    "NeighborDecoupledKDLoss",
    "SoftLabels",
    "StudentView",
    "grouped_cross_entropy",
    "mixed_kd_loss",
    "neighbor_decoupled_kd_loss",
    "neighbor_decoupled_kd_terms",
    "soft_labels",
    "view_student",
]
