import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torch_geometric_dsom.datasets import content_key, encode
from torch_geometric_dsom.errors import ConfigError, DataError


class Lengths:
    """Length of a text; can be made to stop after some calls, as a machine may."""

    def __init__(self, stop_after=None):
        self.seen, self.calls, self.stop_after = [], 0, stop_after

    def __call__(self, texts):
        self.calls += 1
        if self.stop_after is not None and self.calls > self.stop_after:
            raise KeyboardInterrupt
        self.seen += texts
        return torch.tensor([[float(len(text)), 1.0] for text in texts])

    def __repr__(self):
        return "Lengths()"


TEXTS = [f"text {'x' * i}" for i in range(1300)]


def run(texts, encoder, cache=None, **options):
    return encode([content_key(text) for text in texts], texts.__getitem__, encoder, "texts", cache, **options)


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(TEXTS, Lengths(stop_after=18), tmp_path)
    again = Lengths()
    features, mask = run(TEXTS, again, tmp_path)
    assert again.seen == TEXTS[1024:]  # 18 batches of 64 are 1,152, of which two files of 512 were kept
    assert features[:, 0].tolist() == [float(len(text)) for text in TEXTS]
    assert mask.all()
    last = Lengths()
    assert torch.equal(run(TEXTS, last, tmp_path)[0], features)
    assert last.seen == []


def test_known_items_are_not_loaded_and_new_ones_alone_are_encoded(tmp_path):
    run(TEXTS[:10], Lengths(), tmp_path)
    encoder = Lengths()
    keys = [content_key(text) for text in TEXTS[5:15]]
    loaded = []
    encode(keys, lambda i: loaded.append(i) or TEXTS[5 + i], encoder, "texts", tmp_path)
    assert loaded == [5, 6, 7, 8, 9]
    assert encoder.seen == TEXTS[10:15]


def test_equal_items_are_encoded_once():
    encoder = Lengths()
    features, _ = run(["a", "bb", "a", "a"], encoder)
    assert sorted(encoder.seen) == ["a", "bb"]
    assert features[:, 0].tolist() == [1.0, 2.0, 1.0, 1.0]


def test_damaged_foreign_and_half_written_files_count_as_missing(tmp_path):
    expected, _ = run(TEXTS[:600], Lengths(), tmp_path)
    first, second = sorted(tmp_path.rglob("*.safetensors"))
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)
    second.write_bytes(second.read_bytes()[:100])
    encoder = Lengths()
    assert torch.equal(run(TEXTS[:600], encoder, tmp_path)[0], expected)
    assert len(encoder.seen) == 600


def test_encoders_do_not_share_what_is_kept_and_nameless_ones_keep_nothing(tmp_path):
    run(TEXTS[:3], Lengths(), tmp_path)

    class Zeros(Lengths):
        def __repr__(self):
            return "Zeros()"

        def __call__(self, texts):
            return torch.zeros(len(texts), 4)

    assert run(TEXTS[:3], Zeros(), tmp_path)[0].shape == (3, 4)
    before = len(list(tmp_path.rglob("*.safetensors")))
    run(TEXTS[:3], lambda texts: torch.ones(len(texts), 1), tmp_path)
    assert len(list(tmp_path.rglob("*.safetensors"))) == before == 2


def test_items_that_cannot_be_read_are_masked(tmp_path):
    items = ["a", None, "ccc"]
    keys = [content_key(str(item)) for item in items]
    features, mask = encode(keys, items.__getitem__, Lengths(), "texts", tmp_path)
    assert mask.tolist() == [True, False, True]
    assert features[:, 0].tolist() == [1.0, 0.0, 3.0]
    features, mask = encode(keys[1:2], lambda i: None, Lengths())
    assert features.shape == (1, 0)
    assert not mask.any()
    assert encode([], items.__getitem__, Lengths())[0].shape == (0, 0)


@given(st.lists(st.sampled_from(TEXTS[:20]), max_size=30), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_batches_do_not_matter(texts, size):
    features, mask = run(texts, Lengths(), batch_size=size)
    assert features.tolist() == [[float(len(text)), 1.0] for text in texts]
    assert mask.tolist() == [True] * len(texts)


def test_threads_are_limited_meanwhile():
    before, seen = torch.get_num_threads(), []
    run(["a"], lambda texts: seen.append(torch.get_num_threads()) or torch.ones(1, 1), threads=1)
    assert seen == [1]
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError):
        run(["a"], lambda texts: 1 / 0, threads=1)
    assert torch.get_num_threads() == before


def test_what_is_wrong_is_said():
    for options in ({"batch_size": 0}, {"threads": 0}):
        with pytest.raises(ConfigError, match=f"{next(iter(options))}: expected a positive number, got 0"):
            run(["a"], Lengths(), **options)
    with pytest.raises(DataError, match=r"texts: expected a tensor \[2, D\], got \[1, 3\]"):
        run(["a", "b"], lambda texts: torch.ones(1, 3))
