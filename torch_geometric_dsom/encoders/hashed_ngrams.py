"""Hashed character n-grams: texts as vectors without weights, packages or a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torch_geometric_dsom.errors import ConfigError


class HashedNGrams:
    """Counts of the words of a text and of the character n-grams in them, hashed to a fixed number of columns.

    Knows no language and has learned nothing: texts are near each other where they share words or parts of words. Signs
    are hashed too (`Weinberger et al., 2009 <https://arxiv.org/abs/0902.2206>`_), such that collisions cancel in the
    mean, and each text is brought to length one. What there is without any extra; :class:`MiniLM` is far better where
    meaning matters.

    Args:
        dim (int): Number of columns :math:`D`. (default: :obj:`512`)
        ngrams (tuple[int, int]): Shortest and longest n-gram, in characters. (default: :obj:`(3, 5)`)

    Raises:
        ConfigError: If ``dim`` or ``ngrams`` is not positive, or ``ngrams`` is out of order.

    Example:
        >>> encoder = HashedNGrams()
        >>> cat, cats, tax = encoder(["a black cat", "black cats", "income tax"])
        >>> bool(cat @ cats > cat @ tax)
        True
    """

    def __init__(self, dim: int = 512, ngrams: tuple[int, int] = (3, 5)) -> None:
        if dim < 1:
            raise ConfigError(f"dim: expected a positive number, got {dim}")
        if not 1 <= ngrams[0] <= ngrams[1]:
            raise ConfigError(f"ngrams: expected two positive numbers in order, got {ngrams}")
        self.dim = dim
        self.ngrams = (int(ngrams[0]), int(ngrams[1]))

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Encodes texts.

        Args:
            texts (Sequence[str]): ``n`` texts.

        Returns:
            Tensor: Features of length one (zero for a text without a letter or digit), ``[n, dim]``, float32.
        """
        from sklearn.feature_extraction.text import HashingVectorizer

        if not texts:
            return torch.empty(0, self.dim)
        total = torch.zeros(len(texts), self.dim)
        for analyzer, ngrams in (("word", (1, 1)), ("char_wb", self.ngrams)):
            hashed = HashingVectorizer(
                n_features=self.dim, analyzer=analyzer, ngram_range=ngrams, norm="l2", token_pattern=r"(?u)\w+"
            )
            total += torch.from_numpy(hashed.transform(texts).toarray()).float()
        return torch.nn.functional.normalize(total, dim=-1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dim={self.dim}, ngrams={self.ngrams})"
