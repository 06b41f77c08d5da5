"""Losses: distillation of mixtures of teachers, decoupled or not, and cross-entropy over grouped queries."""

from torch_geometric_dsom.loss.cross_entropy import grouped_cross_entropy, grouped_cross_entropy_
from torch_geometric_dsom.loss.dist import DISTLoss, dist_loss
from torch_geometric_dsom.loss.gradient import with_gradient
from torch_geometric_dsom.loss.listwise import ListwiseKDLoss, listwise_kd_loss
from torch_geometric_dsom.loss.mixed_kd import (
    SoftLabels,
    StudentView,
    mixed_kd_gradient_,
    mixed_kd_loss,
    mixed_kd_weights,
    part_labels,
    soft_labels,
    view_student,
)
from torch_geometric_dsom.loss.neighbor_decoupled_kd import (
    KDTerms,
    NeighborDecoupledKDLoss,
    neighbor_decoupled_kd_loss,
    neighbor_decoupled_kd_terms,
)
from torch_geometric_dsom.loss.sharded import ShardedView, sharded_cross_entropy_, sharded_softmax_, sharded_view
from torch_geometric_dsom.loss.special_cases import dkd_loss, kd_loss
from torch_geometric_dsom.loss.standardize import standardize_logits

__all__ = [
    "DISTLoss",
    "KDTerms",
    "ListwiseKDLoss",
    "NeighborDecoupledKDLoss",
    "ShardedView",
    "SoftLabels",
    "StudentView",
    "dist_loss",
    "dkd_loss",
    "grouped_cross_entropy",
    "grouped_cross_entropy_",
    "kd_loss",
    "listwise_kd_loss",
    "mixed_kd_gradient_",
    "mixed_kd_loss",
    "mixed_kd_weights",
    "neighbor_decoupled_kd_loss",
    "neighbor_decoupled_kd_terms",
    "part_labels",
    "sharded_cross_entropy_",
    "sharded_softmax_",
    "sharded_view",
    "soft_labels",
    "standardize_logits",
    "view_student",
    "with_gradient",
]
