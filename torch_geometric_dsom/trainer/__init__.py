"""Training: experts, the distilled student, and what can be asked of it."""

from torch_geometric_dsom.trainer.available_memory import available_memory
from torch_geometric_dsom.trainer.compare import Comparison, compare
from torch_geometric_dsom.trainer.config import DSoMConfig
from torch_geometric_dsom.trainer.cross_entropy_objective import CrossEntropyObjective
from torch_geometric_dsom.trainer.dsom import DSoMTrainer
from torch_geometric_dsom.trainer.embeddings import export_embeddings
from torch_geometric_dsom.trainer.experts import fit_expert
from torch_geometric_dsom.trainer.explain import EntityCard, Explanation, Opinion, explain
from torch_geometric_dsom.trainer.fit import FitResult, fit_scorer
from torch_geometric_dsom.trainer.fit_config import FitConfig
from torch_geometric_dsom.trainer.generations import next_teachers
from torch_geometric_dsom.trainer.guides import fit_guides
from torch_geometric_dsom.trainer.memory_estimate import MemoryEstimate, estimate_memory
from torch_geometric_dsom.trainer.objective import DistillationObjective
from torch_geometric_dsom.trainer.paths import PathObjective, fit_paths
from torch_geometric_dsom.trainer.predict import Prediction, predict
from torch_geometric_dsom.trainer.program import export_scoring
from torch_geometric_dsom.trainer.recommended import recommended
from torch_geometric_dsom.trainer.selection import SelectionShares, selection_shares
from torch_geometric_dsom.trainer.student import Student

__all__ = [
    "Comparison",
    "CrossEntropyObjective",
    "DSoMConfig",
    "DSoMTrainer",
    "DistillationObjective",
    "EntityCard",
    "Explanation",
    "FitConfig",
    "FitResult",
    "MemoryEstimate",
    "Opinion",
    "PathObjective",
    "Prediction",
    "SelectionShares",
    "Student",
    "available_memory",
    "compare",
    "estimate_memory",
    "explain",
    "export_embeddings",
    "export_scoring",
    "fit_expert",
    "fit_guides",
    "fit_paths",
    "fit_scorer",
    "next_teachers",
    "predict",
    "recommended",
    "selection_shares",
]
