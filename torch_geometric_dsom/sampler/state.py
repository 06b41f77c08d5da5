"""The state of the agent: a row of numbers for each training fact or query."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.sampler.signals import StudentSignals, TeacherSignals


class SelectionState(nn.Module):
    """Puts together what the agent may know when it chooses teachers for a training fact.

    Side by side: the student's query vector (unit length), the signals of student and teachers, the presence of each
    modality at query entity and target, the logarithm of the query entity's training degree, and the relation
    (one-hot). Nothing in it carries a gradient.

    Args:
        teachers (list[str]): Names of the teachers, in their order.
        presence (Tensor): Which modalities each entity has, ``[N, P]`` bool.
        degree (Tensor): Training degree of each entity, ``[N]``.
        num_relations (int): Number of relations :math:`R`, without inverses.
        query_dim (int): Width of the student's query vector; 0 if it is not shown.

    Example:
        >>> import torch
        >>> from torch_geometric_dsom.sampler import SelectionState
        >>> presence = torch.ones(5, 2, dtype=torch.bool)
        >>> state = SelectionState(["image", "text"], presence, torch.ones(5), num_relations=3, query_dim=8)
        >>> state.dim  # 8 + (6 * 2 + 1) + 2 * 2 + 1 + 6
        32
    """

    def __init__(
        self, teachers: Sequence[str], presence: Tensor, degree: Tensor, num_relations: int, query_dim: int
    ) -> None:
        super().__init__()
        self.teachers = tuple(teachers)
        self.num_relations = num_relations
        self.query_dim = query_dim
        self.register_buffer("presence", presence.float())
        self.register_buffer("degree", degree.float().log1p() / 5.0)
        self.presence: Tensor
        self.degree: Tensor

    @property
    def dim(self) -> int:
        """Width of the state."""
        signals = 6 * len(self.teachers) + 1
        return self.query_dim + signals + 2 * self.presence.size(1) + 1 + 2 * self.num_relations

    def columns(self, name: str) -> slice:
        """Where a part of the state stands.

        Args:
            name (str): ``"query"``, a field of :class:`TeacherSignals`, ``"student_log_prob"``, ``"divergence"``,
                ``"head_presence"``, ``"tail_presence"``, ``"degree"`` or ``"relation"``.

        Raises:
            ConfigError: If there is no such part.
        """
        count, presence = len(self.teachers), self.presence.size(1)
        widths = {"query": self.query_dim}
        widths |= dict.fromkeys(TeacherSignals._fields, count)
        widths |= {"student_log_prob": 1, "divergence": count, "head_presence": presence, "tail_presence": presence}
        widths |= {"degree": 1, "relation": 2 * self.num_relations}
        if name not in widths:
            raise ConfigError(f"name: expected one of {list(widths)}, got '{name}'")
        names = list(widths)
        start = sum(widths[part] for part in names[: names.index(name)])
        return slice(start, start + widths[name])

    @torch.no_grad()
    def forward(
        self,
        query: Tensor,
        teachers: TeacherSignals,
        student: StudentSignals,
        head: Tensor,
        rel: Tensor,
        tail: Tensor,
    ) -> Tensor:
        """The states of a batch of facts.

        Args:
            query (Tensor): The student's query vectors, ``[M, query_dim]``; not read where they are not shown.
            teachers (TeacherSignals): Signals of the teachers on the same facts.
            student (StudentSignals): Signals of the student on the same facts.
            head (Tensor): Query entities, ``[M]``, int64.
            rel (Tensor): Relations in :math:`[0, 2R)`, ``[M]``, int64.
            tail (Tensor): Targets, ``[M]``, int64.

        Returns:
            Tensor: ``[M, dim]``.
        """
        columns = [
            nn.functional.normalize(query.detach(), dim=-1) if self.query_dim > 0 else query[:, :0],
            teachers.features(),
            student.features(),
            self.presence[head],
            self.presence[tail],
            self.degree[head].unsqueeze(-1),
            nn.functional.one_hot(rel, 2 * self.num_relations).to(query.dtype),
        ]
        return torch.cat(columns, dim=-1)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return f"teachers={list(self.teachers)}, dim={self.dim}"
