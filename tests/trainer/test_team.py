import torch
from torch import nn

from torch_geometric_dsom.distributed import ALONE, World
from torch_geometric_dsom.nn import ComplEx, ModalityTeacher, ShardedScorer
from torch_geometric_dsom.trainer.team import SOLO, Team


def test_who_shares_what(together):
    def run(world):
        data, entity = Team(world), Team(world, "entity")
        assert (data.batches, data.entities, data.share) == (world, ALONE, (world.rank, 2))
        assert (entity.batches, entity.entities, entity.share) == (ALONE, world, (0, 1))

    together(2, run)
    assert SOLO.share == (0, 1)


def test_gradients_and_numbers_add_up_where_batches_are_shared(together):
    def run(world):
        model = nn.Linear(2, 1)
        model.weight.grad, model.bias.grad = torch.full((1, 2), 1.0 + world.rank), torch.ones(1)
        numbers = Team(world).sum_gradients(model, {"loss": torch.tensor(2.0), "gamma": 1.0 * world.rank})
        return model.weight.grad.tolist(), model.bias.grad.item(), {name: float(x) for name, x in numbers.items()}

    assert together(3, run) == [([[6.0, 6.0]], 3.0, {"loss": 6.0, "gamma": 3.0})] * 3


def test_only_shares_of_gradients_add_up_where_entities_are_dealt_out(together):
    teacher = ModalityTeacher({"x": torch.ones(4, 2)}, {"x": torch.ones(4).bool()}, 1, rank=1, hidden_dim=0)

    def run(world):
        model = ShardedScorer.cut_from(teacher, world)
        for value in model.parameters():
            value.grad = torch.ones_like(value)
        numbers = {"loss": 5.0}
        assert Team(world, "entity").sum_gradients(model, numbers) is numbers
        return model.part.project["x"][0].weight.grad.unique().tolist(), model.part.relation.grad.unique().tolist()

    assert together(2, run) == [([2.0], [1.0])] * 2


def test_one_process_has_nothing_to_add():
    model, numbers = ComplEx(3, 1, rank=1), {"loss": 1.0}
    assert Team(World()).sum_gradients(model, numbers) is numbers
