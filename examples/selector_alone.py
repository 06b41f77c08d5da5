"""The agent without trainer, graph or student: it learns which of three advisers to listen to, and when to none.

A question has a topic. Each adviser is right on one topic and guesses elsewhere; on the fourth topic all of them only
guess, and to listen costs something.

python examples/selector_alone.py
"""

import argparse

import torch

from torch_geometric_dsom.sampler import TeacherSampler, all_subsets

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=600)
parser.add_argument("--gradient", choices=["exact", "reinforce"], default="exact")
args = parser.parse_args()

generator = torch.Generator().manual_seed(0)
agent = TeacherSampler(num_teachers=3, state_dim=4, lr=0.02, gradient=args.gradient, generator=generator)
subsets = all_subsets(3)  # [8, 3], the empty one first


def rewards(topic):
    """What each set of advisers is worth, [B, 8]: the share of it that is right, less a fee; the empty set nothing."""
    right = torch.zeros(len(topic), 4).scatter_(1, topic.unsqueeze(1), 1.0)[:, :3]
    right = torch.where(right > 0, 1.0, (torch.rand(right.shape, generator=generator) < 0.2).float())
    share = right @ subsets.T.float() / subsets.sum(dim=1).clamp_min(1)
    return (share - 0.4).masked_fill(~subsets.any(dim=1), 0.0)


for step in range(args.steps):
    topic = torch.randint(4, (64,), generator=generator)
    state = torch.nn.functional.one_hot(topic, 4).float()
    choice = agent.sample(state)
    logs = agent.update(choice, rewards(topic))
    if step % (args.steps // 4) == 0:
        print(f"step {step}: entropy {logs['entropy']:.2f} nats, moving mean of rewards {logs['baseline']:+.2f}")

chosen = agent.sample(torch.eye(4), greedy=True).action
for topic, row in enumerate(chosen):
    names = [f"adviser {i}" for i in range(3) if row[i]]
    print(f"topic {topic}: {' and '.join(names) or 'nobody'}")
