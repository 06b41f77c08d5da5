import pytest
import torch

from torch_geometric_dsom.nn import ComplEx, ModalityTeacher, ShardedScorer
from torch_geometric_dsom.trainer.whole_state import own_model, own_optimizer, plain, whole_model, whole_optimizer


def make(kind):
    if kind == "complex":
        return ComplEx(7, 2, rank=3)
    mask = torch.arange(7) % 3 != 0
    return ModalityTeacher({"text": torch.eye(7)}, {"text": mask}, num_relations=2, rank=3, hidden_dim=4)


def stepped(model, kind):
    """A model and its optimiser after a step with a gradient that is the parameter itself."""
    optimizer = {"adagrad": torch.optim.Adagrad, "adam": torch.optim.Adam}[kind](plain(model).parameters(), lr=0.1)
    for value in plain(model).parameters():
        value.grad = value.detach().clone()
    optimizer.step()
    return optimizer


@pytest.mark.parametrize("kind", ["complex", "modality"])
@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_states_come_together_and_are_taken_apart_again(together, kind, optimizer):
    model = make(kind)
    state = stepped(model, optimizer).state_dict()
    assert whole_model(model).keys() == own_model(model, model.state_dict()).keys() == model.state_dict().keys()

    def run(world):
        part = ShardedScorer.cut_from(make(kind), world)
        own = stepped(part, optimizer)
        whole, moments = whole_model(part), whole_optimizer(part, own)
        for name, value in model.state_dict().items():
            assert torch.equal(whole[name], value), name
        for index, values in state["state"].items():
            for name, value in values.items():
                assert torch.equal(moments["state"][index][name], value), (index, name)
        fresh = ShardedScorer.cut_from(make(kind), world)
        plain(fresh).load_state_dict(own_model(fresh, whole))
        other = stepped(fresh, optimizer)
        other.load_state_dict(own_optimizer(fresh, moments))
        for index, values in own.state_dict()["state"].items():
            for name, value in values.items():
                assert torch.equal(other.state_dict()["state"][index][name], value)
        best = {name: value + 1 for name, value in plain(part).state_dict().items()}
        assert torch.equal(whole_model(part, best)["entity"], whole["entity"] + 1)

    together(3, run)
