"""Samplers: of queries, and of the teachers to learn from."""

from torch_geometric_dsom.sampler.combine import combine_logits
from torch_geometric_dsom.sampler.query_sampler import QueryBatch, QuerySampler
from torch_geometric_dsom.sampler.rewards import all_subsets, margin_reward, rank_reward, set_log_prob
from torch_geometric_dsom.sampler.signals import StudentSignals, TeacherSignals, teacher_signals
from torch_geometric_dsom.sampler.state import SelectionState
from torch_geometric_dsom.sampler.static_sampler import StaticSampler
from torch_geometric_dsom.sampler.teacher_sampler import TeacherChoice, TeacherSampler, bernoulli_entropy
from torch_geometric_dsom.sampler.unlabelled import UnlabelledSampler

__all__ = [
    "QueryBatch",
    "QuerySampler",
    "SelectionState",
    "StaticSampler",
    "StudentSignals",
    "TeacherChoice",
    "TeacherSampler",
    "TeacherSignals",
    "UnlabelledSampler",
    "all_subsets",
    "bernoulli_entropy",
    "combine_logits",
    "margin_reward",
    "rank_reward",
    "set_log_prob",
    "teacher_signals",
]
