"""The frozen teachers of a run: who may be asked about what, and what they say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torch_geometric_dsom.data import GroupRows, NeighborIndex
from torch_geometric_dsom.evaluation import TailScorer, score_into
from torch_geometric_dsom.nn import EmbeddingScorer, GuidedScorer, Workspace, is_mean_of, piece_rows
from torch_geometric_dsom.sampler import ALL, Candidates, TeacherSignals, teacher_signals
from torch_geometric_dsom.trainer.soft_label_cache import SoftLabelCache
from torch_geometric_dsom.trainer.soft_label_reader import SoftLabelReader

MOST_RELATIONS = 1 << 24
CACHED_BYTES = 24 << 20  # of soft labels and what is made of them at once: half of what cores share, the rest is tables


class Ensemble:
    """Teachers side by side, with those of the folds where they were cross-fitted.

    Queries come from the host, where they are looked up; what teachers say of them stays on their device.

    Args:
        teachers (list): Frozen scorers, :math:`K` of them.
        available (Tensor): Which teacher may be asked about which query entity, ``[N, K]`` bool.
        fold_teachers (list[list], optional): For each fold the :math:`K` teachers that did not see its facts.
        dtype (torch.dtype, optional): In which their products are computed, such as ``torch.bfloat16``; as they are if
            :obj:`None`.
        cache (SoftLabelCache, optional): Keeps what :meth:`soften` gave, under the numbers of :meth:`key`.
        reflexive (Tensor, optional): Which relations may relate an entity to itself, ``[2R]`` bool: the query entity is
            no answer to the others. To all of them it may be one if :obj:`None`.
    """

    def __init__(
        self,
        teachers: Sequence[TailScorer],
        available: Tensor,
        fold_teachers: Sequence[Sequence[TailScorer]] = (),
        dtype: torch.dtype | None = None,
        cache: SoftLabelCache | None = None,
        reflexive: Tensor | None = None,
    ) -> None:
        self.teachers = list(teachers)
        self.fold_teachers = [list(part) for part in fold_teachers]
        self.available = available
        self.dtype = dtype
        self.cache = cache
        self.reflexive = reflexive
        self.memory = Workspace()
        self._narrow: dict[int, Tensor] = {}
        self._parts = [_experts_of(teacher, self.teachers) for teacher in self.teachers]

    @property
    def num_teachers(self) -> int:
        """Number of teachers :math:`K`."""
        return len(self.teachers)

    @property
    def num_columns(self) -> int:
        """For how many entities there is a value in what :meth:`ask` gives."""
        return self.available.size(0)

    @property
    def slabs(self) -> int:
        """Values for each query and entity that softening and mixing need at once."""
        return 1 + self.num_teachers * (1 if self.cache is None and self.dtype is None else 2)

    def piece_rows(self, slabs: int, num_columns: int, workspace_bytes: int) -> int:
        """How many queries to work on at a time, see :func:`~torch_geometric_dsom.nn.piece_rows`."""
        return piece_rows(self.available, slabs, num_columns, CACHED_BYTES, workspace_bytes)

    def reader(
        self,
        head: Tensor,
        relation: Tensor,
        temperature: float,
        fold: Tensor | None = None,
        use: str = "facts",
        candidates: Candidates = ALL,
        workspace_bytes: int | None = None,
    ) -> SoftLabelReader:
        """Softened distributions for some queries, a few at a time; see :class:`SoftLabelReader`."""
        return SoftLabelReader(self, head, relation, temperature, fold, use, candidates, workspace_bytes)

    @torch.no_grad()
    def ask(
        self,
        head: Tensor,
        relation: Tensor,
        fold: Tensor | None = None,
        use: str | None = None,
        candidates: Candidates = ALL,
    ) -> Tensor:
        """Logits of all teachers.

        Args:
            head (Tensor): Query entities, ``[Q]``, int64.
            relation (Tensor): Relations in :math:`[0, 2R)`, ``[Q]``, int64.
            fold (Tensor, optional): Fold of the facts that each query stands for, ``[Q]``: asks the teachers that did
                not see them. Without it, or without cross-fitting, the teachers that saw all are asked.
            use (str, optional): Name of memory that is used again at the next call with this name; fresh memory if
                :obj:`None`.
            candidates (Candidates): Which entities they are asked about. (default: all :math:`N`)

        Returns:
            Tensor: ``[Q, K, N]``.
        """
        entity, device = candidates.entity, self.available.device
        shape = self.num_teachers, head.numel(), self.available.size(0) if entity is None else entity.numel()
        like = torch.empty(0, device=device)
        slabs = torch.empty(shape, device=device) if use is None else self.memory.room(use, shape, like)
        out = slabs.transpose(0, 1)  # what one teacher says lies together
        if fold is None or not self.fold_teachers:
            head, relation = head.to(device, non_blocking=True), relation.to(device, non_blocking=True)
            self._ask_teachers(head, relation, list(slabs), entity)
            return self.strike_(out, head, relation, candidates)
        for number, teachers in enumerate(self.fold_teachers):
            rows = (fold == number).nonzero().flatten()
            if rows.numel() > 0:
                some, kind, place = (x.to(device) for x in (head[rows], relation[rows], rows))
                for k, teacher in enumerate(teachers):
                    out[place, k] = _score(teacher, some, kind, entity)
        return self.strike_(out, head, relation, candidates)

    def ask_each(
        self,
        head: Tensor,
        relation: Tensor,
        fold: Tensor | None,
        use: str,
        candidates: Candidates = ALL,
    ) -> list[Tensor]:
        """The same logits teacher by teacher, ``[Q, N]`` each; those of narrow products stay as narrow as they are.

        Args:
            head (Tensor): As all that follow, see :meth:`ask`.
        """
        if fold is not None and self.fold_teachers:
            return list(self.ask(head, relation, fold, use, candidates).unbind(dim=1))
        entity, device = candidates.entity, self.available.device
        shape = head.numel(), self.available.size(0) if entity is None else entity.numel()
        head, relation = head.to(device, non_blocking=True), relation.to(device, non_blocking=True)
        found = []
        for k, teacher in enumerate(self.teachers):
            like = torch.empty(0, device=device, dtype=self._product_dtype(teacher))
            found.append(self.memory.room(f"{use}/{k}", shape, like))
        self._ask_teachers(head, relation, found, entity)
        return [self.strike_(logits, head, relation, candidates) for logits in found]

    def strike_(self, logits: Tensor, head: Tensor, relation: Tensor, candidates: Candidates) -> Tensor:
        """Takes query entities from the answers to relations that relate no entity to itself.

        Args:
            logits (Tensor): ``[Q, ..., C]``.
            head (Tensor): Query entities, ``[Q]``, int64.
            relation (Tensor): Relations in :math:`[0, 2R)`, ``[Q]``, int64.
            candidates (Candidates): What logits are of.
        """
        if self.reflexive is None or logits.size(-1) == 0:  # a process may have no entity
            return logits
        head, relation, may = (x.to(logits.device, non_blocking=True) for x in (head, relation, self.reflexive))
        there, column = candidates.columns(head)
        place = torch.arange(len(head), device=head.device), ..., column
        struck = (there & ~may[relation]).view(-1, *[1] * (logits.dim() - 2))
        logits[place] = logits[place].masked_fill(struck, -torch.inf)
        return logits

    def bytes_per_score(self, fold: Tensor | None = None) -> int:
        """Bytes that the logits of all teachers take for one query and entity."""
        if fold is not None and self.fold_teachers:
            return 4 * self.num_teachers
        return sum(self._product_dtype(teacher).itemsize for teacher in self.teachers)

    def _product_dtype(self, teacher: TailScorer) -> torch.dtype:
        """In which a teacher's logits are computed."""
        if isinstance(teacher, GuidedScorer):
            return self._product_dtype(teacher.scorer)
        narrow = self.dtype is not None and isinstance(teacher, EmbeddingScorer) and teacher.interaction.is_product
        return self.dtype if narrow and self.dtype is not None else torch.float32

    @torch.no_grad()
    def _ask_teachers(self, head: Tensor, relation: Tensor, out: list[Tensor], entity: Tensor | None) -> None:
        """Logits of every teacher, the experts' before those of their product, guided ones last."""
        for k in sorted(range(self.num_teachers), key=lambda k: (bool(self._parts[k]), _is_guided(self.teachers[k]))):
            self._ask(self.teachers[k], head, relation, out[k], entity, [out[part] for part in self._parts[k]])

    def _ask(
        self,
        teacher: TailScorer,
        head: Tensor,
        relation: Tensor,
        out: Tensor,
        entity: Tensor | None,
        experts: list[Tensor],
    ) -> None:
        """Logits of one teacher, straight into the memory for them where it is a scorer of ours."""
        if isinstance(teacher, GuidedScorer):
            self._ask(teacher.scorer, head, relation, out, entity, experts)
            teacher.tell(out, head, relation, entity)
            return
        if experts:
            torch.mul(experts[0], 1.0 / len(experts), out=out)
            for logits in experts[1:]:
                out.add_(logits, alpha=1.0 / len(experts))
            return
        if not isinstance(teacher, EmbeddingScorer):  # a table that is made anew at each call is not frozen
            out.copy_(_score(teacher, head, relation, entity))
            return
        if self.dtype is not None and id(teacher) not in self._narrow:
            self._narrow[id(teacher)] = teacher.entity.detach().to(self.dtype)
        score_into(teacher, head, relation, teacher.entity.detach(), out, self._narrow.get(id(teacher)), entity)

    def soften(
        self,
        head: Tensor,
        relation: Tensor,
        temperature: float,
        fold: Tensor | None = None,
        use: str = "facts",
        candidates: Candidates = ALL,
    ) -> Tensor:
        """Softened distributions of all teachers, from the cache where they are in it.

        Args:
            head (Tensor): Query entities, ``[Q]``, int64.
            relation (Tensor): Relations in :math:`[0, 2R)`, ``[Q]``, int64.
            temperature (float): Temperature, the same at every call.
            fold (Tensor, optional): As in :meth:`ask`.
            use (str): Name of memory that is used again at the next call with this name. (default: :obj:`"facts"`)
            candidates (Candidates): What the distributions are over; some entities are never cached.
                (default: all :math:`N`)

        Returns:
            Tensor: ``[Q, K, N]``.
        """
        return self.reader(head, relation, temperature, fold, use, candidates).read(slice(0, head.numel()))

    def key(self, head: Tensor, relation: Tensor, fold: Tensor | None = None) -> Tensor:
        """Number of a query, and of the fold that is asked, ``[Q]``, int64; who saw all facts is no fold."""
        folds = len(self.fold_teachers)
        return (head * MOST_RELATIONS + relation) * (folds + 1) + (folds if fold is None or folds == 0 else fold)

    @staticmethod
    @torch.no_grad()
    def softened_(teacher_logits: Tensor, temperature: float) -> Tensor:
        """Softens logits ``[Q, K, N]`` in their memory."""
        for logits in teacher_logits.unbind(dim=1):
            torch.softmax(logits if temperature == 1.0 else logits.div_(temperature), dim=-1, out=logits)
        return teacher_logits

    @torch.no_grad()
    def mean_prob(self, prob: Tensor, head: Tensor) -> Tensor:
        """Mean of the distributions of those teachers that may be asked, up to a factor a row.

        Args:
            prob (Tensor): From :meth:`soften`, ``[Q, K, N]``.
            head (Tensor): Query entities, ``[Q]``, int64.

        Returns:
            Tensor: ``[Q, N]``, in memory that the next call uses again.
        """
        total = self.memory.room("mean", (prob.size(0), prob.size(2)), prob).zero_()
        available = self.available[head.to(prob.device, non_blocking=True)].to(prob.dtype)
        for part, mask in zip(prob.unbind(dim=1), available.unbind(dim=-1), strict=True):
            total.addcmul_(part, mask.unsqueeze(-1))
        return total

    def favourites(self, prob: Tensor, head: Tensor, candidates: Candidates = ALL) -> Tensor:
        """The answers that the teachers which may be asked together find most likely, ``[Q]``."""
        best = candidates.each_(self.mean_prob(prob, head)).argmax(dim=-1)
        return best if candidates.entity is None else candidates.entity[best]

    def likely(self, prob: Tensor, head: Tensor, k: int) -> Tensor:
        """As :meth:`best`, for distributions that are there already, ``[Q, K, N]`` to ``[Q, k]``."""
        mean = self.mean_prob(prob, head)
        return mean.topk(min(k, mean.size(1)), sorted=False).indices

    def signals(
        self, prob: Tensor, row: Tensor, entity: Tensor, groups: GroupRows, candidates: Candidates = ALL
    ) -> TeacherSignals:
        """What the agent sees of the teachers about an answer of each fact, see :func:`teacher_signals`."""
        return teacher_signals(prob, row, candidates.place(entity), groups)

    def pick(self, prob: Tensor, row: Tensor, entity: Tensor, candidates: Candidates = ALL) -> Tensor:
        """Probabilities of an answer of each fact, ``[M, K]``."""
        return prob[row, :, candidates.place(entity)]

    def best(self, head: Tensor, relation: Tensor, temperature: float, k: int, rows: int) -> Tensor:
        """The entities that the teachers which may be asked together find most likely, ``[Q, k]``.

        Args:
            head (Tensor): Query entities, ``[Q]``, int64.
            relation (Tensor): Relations in :math:`[0, 2R)`, ``[Q]``, int64.
            temperature (float): Temperature of the distributions.
            k (int): How many.
            rows (int): Queries at once.
        """
        found = []
        for some, kind in zip(head.split(rows), relation.split(rows), strict=True):
            found.append(self.likely(self.soften(some, kind, temperature, None, "best"), some, k))
        return torch.cat(found)

    def groups(
        self,
        index: NeighborIndex,
        head: Tensor,
        relation: Tensor,
        target: Tensor | None,
        prob: Tensor,
        candidates: Candidates = ALL,
    ) -> GroupRows:
        """Neighbour groups of queries, with a target where one is given; those of ``topk`` from the teachers' mean."""
        if index.kind == "topk":
            return index.best(candidates.each_(self.mean_prob(prob, head)))
        return candidates.groups(index.rows(head, relation, target).to(prob.device))


def _experts_of(teacher: TailScorer, teachers: Sequence[TailScorer]) -> list[int]:
    """The numbers of those whose mean a teacher is, beside its guides; none where it is no mean of others.

    A guided teacher may be one other teacher, beside its guides.
    """
    base = teacher
    while isinstance(base, GuidedScorer):
        base = base.scorer
    if not isinstance(base, EmbeddingScorer):
        return []
    others = {k: one for k, one in enumerate(teachers) if isinstance(one, EmbeddingScorer) and one is not teacher}
    for k, one in others.items():
        if _is_guided(teacher) and (one is base or is_mean_of(base, [one])):
            return [k]
    return list(others) if len(others) > 1 and is_mean_of(base, list(others.values())) else []


def _is_guided(teacher: TailScorer) -> bool:
    return isinstance(teacher, GuidedScorer)


def _score(teacher: TailScorer, head: Tensor, relation: Tensor, entity: Tensor | None) -> Tensor:
    """Scores of all entities, or of some."""
    return teacher.score_tails(head, relation) if entity is None else teacher.score_tails(head, relation, entity)
