import pytest

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.distributed import World
from torch_geometric_dsom.errors import ConfigError
from torch_geometric_dsom.loss import DISTLoss, NeighborDecoupledKDLoss
from torch_geometric_dsom.nn import ComplEx, ShardedScorer, product_of_experts
from torch_geometric_dsom.trainer import DSoMConfig
from torch_geometric_dsom.trainer.deal import MANY_ENTITIES, deal, fuse, make_team
from torch_geometric_dsom.trainer.team import SOLO, Team

LOSS = NeighborDecoupledKDLoss()


def test_who_shares_what_of_which_graph(together):
    def run(world):
        def by(distributed, entities, config=DSoMConfig(), loss=LOSS, models=()):  # noqa: B008
            team = make_team(distributed, world, entities, config, loss, models)
            return "none" if team is SOLO else team.by

        assert by("none", 10) == "none"
        assert by("auto", 10) == "data"
        assert by("auto", MANY_ENTITIES) == "entity"
        assert by("data", MANY_ENTITIES) == "data"
        assert by("entity", 10) == "entity"
        assert by("auto", MANY_ENTITIES, loss=DISTLoss()) == "data"
        assert by("auto", MANY_ENTITIES, models=[ComplEx(3, 1, rank=1), object()]) == "data"
        for options, what in (
            ({"neighbors": "topk"}, "neighbors='topk'"),
            ({"reward": "influence"}, "reward='influence'"),
            ({"rule_weight": 1.0}, "rule_weight above 0"),
            ({"ridge_weight": 1.0}, "ridge_weight above 0"),
            ({"frequency_weight": 1.0}, "frequency_weight above 0"),
            ({"path_weight": 1.0}, "path_weight above 0"),
            ({"selection": "best_per_relation"}, "selection='best_per_relation'"),
        ):
            assert by("auto", MANY_ENTITIES, DSoMConfig(**options)) == "data"
            with pytest.raises(ConfigError, match=f"expected 'data' or 'auto' with {what}, got 'entity'"):
                by("entity", 10, DSoMConfig(**options))

    together(2, run)
    assert make_team("entity", World(), 10, DSoMConfig(), LOSS, []) is SOLO
    with pytest.raises(
        ConfigError, match=r"distributed: expected one of \['auto', 'none', 'data', 'entity'\], got 'x'"
    ):
        DSoMTrainer(distributed="x")


def test_models_are_dealt_out_and_fused_in_parts(together):
    experts = [ComplEx(5, 1, rank=2, init_scale=1.0), ComplEx(5, 1, rank=3, init_scale=1.0)]
    whole = product_of_experts(experts)
    assert deal(experts[0], SOLO) is experts[0]
    assert fuse(experts).entity.equal(whole.entity)

    def run(world):
        team = Team(world, "entity")
        parts = [deal(expert, team) for expert in experts]
        assert all(isinstance(part, ShardedScorer) for part in parts)
        assert deal(parts[0], team) is parts[0]
        fused = fuse(parts)
        assert not any(value.requires_grad for value in fused.parameters())
        return fused.whole()

    for found in together(2, run):
        assert found.entity.equal(whole.entity)
        assert found.relation.equal(whole.relation)
