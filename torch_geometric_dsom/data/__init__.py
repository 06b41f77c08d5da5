"""The data contract, its checks, and the look-ups built from facts."""

from torch_geometric_dsom.data.groups import CSR, GroupRows, expand_rows, sum_rows
from torch_geometric_dsom.data.hetero import from_hetero, to_hetero
from torch_geometric_dsom.data.impute import ImputeModality
from torch_geometric_dsom.data.known_answers import KnownAnswers
from torch_geometric_dsom.data.map_features import map_features
from torch_geometric_dsom.data.modalities import modalities
from torch_geometric_dsom.data.neighbor_index import NeighborIndex
from torch_geometric_dsom.data.path_index import PathIndex
from torch_geometric_dsom.data.relation_affinity import RelationAffinity
from torch_geometric_dsom.data.triples import split_triples, with_inverses
from torch_geometric_dsom.data.validate import ModalityReport, ValidationReport, validate
from torch_geometric_dsom.data.vocabulary import Vocabulary

__all__ = [
    "CSR",
    "GroupRows",
    "ImputeModality",
    "KnownAnswers",
    "ModalityReport",
    "NeighborIndex",
    "PathIndex",
    "RelationAffinity",
    "ValidationReport",
    "Vocabulary",
    "expand_rows",
    "from_hetero",
    "map_features",
    "modalities",
    "split_triples",
    "sum_rows",
    "to_hetero",
    "validate",
    "with_inverses",
]
