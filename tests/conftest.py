import pytest
import torch
from hypothesis import settings
from torch_geometric.data import Data

settings.register_profile("any machine", deadline=None)  # a busy one may take its time
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def small_graph() -> Data:
    """Sixty entities in six kinds; facts lead from kind to kind, features tell the kind, a third has no picture."""
    g = torch.Generator().manual_seed(0)
    n, kinds, relations = 60, 6, 3
    kind = torch.arange(n) % kinds
    facts = set()
    while len(facts) < 300:
        h, r = int(torch.randint(n, (), generator=g)), int(torch.randint(relations, (), generator=g))
        answers = (kind == (kind[h] + r + 1) % kinds).nonzero().flatten()
        facts.add((h, r, int(answers[int(torch.randint(3, (), generator=g))])))
    h, r, t = torch.tensor(sorted(facts)).T
    order = torch.randperm(300, generator=g)
    train, val, test = order[:240], order[240:270], order[270:]
    noise = torch.randn(n, 8, generator=g)
    text = torch.nn.functional.one_hot(kind, 8).float() * 3 + 0.3 * noise
    image_mask = torch.arange(n) % 3 != 0
    data = Data(num_nodes=n)
    data.num_relations = relations
    for prefix, part in (("", train), ("val_", val), ("test_", test)):
        data[f"{prefix}edge_index"] = torch.stack([h[part], t[part]])
        data[f"{prefix}edge_type"] = r[part]
    data.x_text, data.text_mask = text, torch.ones(n, dtype=torch.bool)
    data.x_image, data.image_mask = (text + noise) * image_mask.unsqueeze(-1), image_mask
    data.entity_ids = [f"e{i}" for i in range(n)]
    data.entity_labels = [f"thing {i}" for i in range(n)]
    data.relation_ids = [f"r{i}" for i in range(relations)]
    data.relation_labels = [f"leads {i}" for i in range(relations)]
    return data


SMALL = {
    "rank": 8,
    "teacher_hidden": 16,
    "student_fit": {"epochs": 4, "batch_size": 64, "evaluate_every": 2},
    "teacher_fit": {"epochs": 4, "batch_size": 64, "evaluate_every": 2},
}


@pytest.fixture(scope="session")
def small_options() -> dict:
    """Options of a trainer that is done in a second on the small graph."""
    return SMALL


@pytest.fixture(scope="session")
def trained(small_graph):
    """A trainer that has been through every phase on the small graph; not to be changed."""
    from torch_geometric_dsom import DSoMTrainer

    trainer = DSoMTrainer(seed=3, progress=False, **SMALL).fit(small_graph)
    trainer.fit_baseline(small_graph)
    return trainer


@pytest.fixture(scope="session")
def together():
    """Runs ``function(world)`` in as many threads as processes are played; returns what each gave, by rank."""
    import threading

    from torch_geometric_dsom.distributed import World

    class Played(World):
        def __init__(self, rank, size, barrier, slots):
            self.group, self.rank, self.size = None, rank, size
            self.meeting, self.slots = barrier, slots

        def gather_objects(self, value):
            self.slots[self.rank] = value
            self.meeting.wait(timeout=60)
            found = list(self.slots)
            self.meeting.wait(timeout=60)
            return found

        def stack(self, value):
            return torch.stack(self.gather_objects(value.clone()))

        def barrier(self):
            self.gather_objects(None)

        def _reduce(self, value, operation):
            found = self.stack(value)
            return value.copy_(found.sum(dim=0) if "SUM" in str(operation) else found.amax(dim=0))

    def run(size, function):
        barrier, slots, found = threading.Barrier(size), [None] * size, [None] * size

        def one(rank):
            try:
                found[rank] = function(Played(rank, size, barrier, slots))
            except BaseException as error:
                found[rank] = error
                barrier.abort()

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        errors = [x for x in found if isinstance(x, BaseException)]
        if errors:
            raise next((x for x in errors if not isinstance(x, threading.BrokenBarrierError)), errors[0])
        return found

    return run
