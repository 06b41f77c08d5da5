"""Samplers: of queries, and of the teachers to learn from."""

from torch_geometric_dsom.sampler.best_by_relation import best_by_relation
from torch_geometric_dsom.sampler.candidates import ALL, Candidates, CandidateSampler
from torch_geometric_dsom.sampler.choice import TeacherChoice
from torch_geometric_dsom.sampler.combine import combine_logits, mixture_weights
from torch_geometric_dsom.sampler.endless_batches import EndlessBatches
from torch_geometric_dsom.sampler.policy import POLICIES, BernoulliPolicy, CategoricalPolicy, bernoulli_entropy
from torch_geometric_dsom.sampler.query_sampler import Around, QueryBatch, QuerySampler, random_folds
from torch_geometric_dsom.sampler.rewards import (
    filtered_probabilities,
    first_order_reward,
    influence_reward,
    inverse_rank,
    lookahead_reward,
    margin_reward,
    rank_reward,
    set_log_prob,
)
from torch_geometric_dsom.sampler.shard_candidates import ShardCandidates
from torch_geometric_dsom.sampler.signals import StudentSignals, TeacherSignals, entropy_of, log_of, teacher_signals
from torch_geometric_dsom.sampler.state import SelectionState
from torch_geometric_dsom.sampler.static_sampler import (
    ConfidenceSampler,
    RelationSampler,
    RuleSampler,
    StaticSampler,
    best_sets,
)
from torch_geometric_dsom.sampler.subsets import all_subsets, subset_index
from torch_geometric_dsom.sampler.teacher_sampler import TeacherSampler, counterfactual_baseline
from torch_geometric_dsom.sampler.unlabelled import UnlabelledSampler

__all__ = [
    "ALL",
    "POLICIES",
    "Around",
    "BernoulliPolicy",
    "CandidateSampler",
    "Candidates",
    "CategoricalPolicy",
    "ConfidenceSampler",
    "EndlessBatches",
    "QueryBatch",
    "QuerySampler",
    "RelationSampler",
    "RuleSampler",
    "SelectionState",
    "ShardCandidates",
    "StaticSampler",
    "StudentSignals",
    "TeacherChoice",
    "TeacherSampler",
    "TeacherSignals",
    "UnlabelledSampler",
    "all_subsets",
    "bernoulli_entropy",
    "best_by_relation",
    "best_sets",
    "combine_logits",
    "counterfactual_baseline",
    "entropy_of",
    "filtered_probabilities",
    "first_order_reward",
    "influence_reward",
    "inverse_rank",
    "log_of",
    "lookahead_reward",
    "margin_reward",
    "mixture_weights",
    "random_folds",
    "rank_reward",
    "set_log_prob",
    "subset_index",
    "teacher_signals",
]
