import pytest
import torch

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.sampler import StaticSampler
from torch_geometric_dsom.trainer import SelectionShares, selection_shares


def test_shares_of_a_rule_are_those_of_the_rule(trained, small_graph, small_options):
    trainer = DSoMTrainer(seed=3, progress=False, teachers=trained.teachers, **small_options)
    trainer.agent = StaticSampler(4, chosen=[1, 3])  # image and fused
    trainer.fit_student(small_graph, epochs=1)
    before = trainer.student.entity.clone()
    shares = trainer.selection(small_graph, split="test")
    assert torch.equal(trainer.student.entity, before)
    assert isinstance(shares, SelectionShares)
    assert shares.teachers == ("structure", "image", "text", "fused")
    assert shares.relations == ("leads 0", "leads 1", "leads 2")
    head, tail = small_graph.test_edge_index
    for r in range(3):
        rows = small_graph.test_edge_type == r
        asked = torch.cat([head[rows], tail[rows]])  # both directions
        assert shares.count[r] == len(asked)
        expected = small_graph.image_mask[asked].float().mean().item()
        assert shares.share[r].tolist() == pytest.approx([0.0, expected, 0.0, 1.0])
    assert shares.none.tolist() == [0.0] * 3
    everywhere = small_graph.image_mask[torch.cat([head, tail])].float().mean().item()
    assert shares.total["image"] == pytest.approx(everywhere)


def test_plain_values_a_table_and_a_picture(trained, small_graph, tmp_path):
    shares = trained.selection(small_graph)
    plain = shares.to_dict()
    assert plain["relations"]["leads 1"]["text"] == pytest.approx(shares.share[1, 2].item())
    assert str(shares).count("\n") == 3
    shares.plot(tmp_path / "shares.png")
    assert (tmp_path / "shares.png").read_bytes().startswith(b"\x89PNG")


def test_a_relation_without_a_fact_has_no_share(trained, small_graph):
    objective = trained._objective(small_graph, trained.student, trained.config.student_fit, None)
    shares = selection_shares(objective, torch.tensor([[0, 1, 2]]), ("a", "b", "c"))
    assert shares.share[0].isnan().all()
    assert shares.share[1].isfinite().all()
    assert shares.count.tolist() == [0, 2, 0]
    assert all(0.0 <= value <= 1.0 for value in shares.total.values())


def test_errors(trained, small_graph):
    with pytest.raises(ConfigError, match="split"):
        trained.selection(small_graph, split="other")
    with pytest.raises(ConfigError, match="not trained"):
        DSoMTrainer().selection(small_graph)
