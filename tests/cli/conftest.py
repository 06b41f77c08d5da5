import pytest
from PIL import Image
from typer.testing import CliRunner

from torch_geometric_dsom.cli import app
from torch_geometric_dsom.datasets import FakeMMKG, write_folder


@pytest.fixture(scope="session")
def call():
    """Runs a command; its exit code, stdout and stderr."""
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="session")
def tiny():
    """Options with which training is done in a second."""
    parts = "--rank 4 --epochs 2 --set student_fit.evaluate_every=1 --set teacher_hidden=8 --set teacher_fit.epochs=2"
    return [*parts.split(), "--set", "teacher_fit.evaluate_every=1"]


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory):
    """A folder with a graph of sixty entities; three of four have a picture, one in five a text."""
    data = FakeMMKG(num_entities=60, num_relations=2, num_kinds=6, num_facts=120, seed=1)[0]
    for name in ("text", "image", "noise"):
        del data[f"x_{name}"], data[f"{name}_mask"]
    data.entity_texts = [f"thing number {i}" if i % 5 == 0 else "" for i in range(60)]
    folder = write_folder(data, tmp_path_factory.mktemp("graph") / "small")
    (folder / "images").mkdir()
    for i in sorted(set(data.edge_index.flatten().tolist())):
        if i % 4:
            Image.new("RGB", (24, 24), (4 * i, 255 - 4 * i, 80)).save(folder / "images" / f"e{i}.png")
    return folder


@pytest.fixture(scope="session")
def graph_options(small_folder, tmp_path_factory):
    """Options that name that graph."""
    kept = tmp_path_factory.mktemp("kept")
    return ["--dataset", small_folder, "--root", kept, "--image-encoder", "pixels", "--text-encoder", "ngrams"]


@pytest.fixture(scope="session")
def run(call, tiny, graph_options, tmp_path_factory):
    """A run on that graph: its folder, and what train printed; not to be changed."""
    out = tmp_path_factory.mktemp("cli") / "run"
    result = call("train", *graph_options, "--compare", "--seed", 4, "--tracker", "csv", *tiny, "--out", out)
    assert result.exit_code == 0, result.output
    return out, result


@pytest.fixture(scope="session")
def asked(small_folder):
    """The first test fact of that graph."""
    return (small_folder / "test.tsv").read_text(encoding="utf-8").splitlines()[0].split("\t")
