"""A search over options by validation MRR; the teachers are trained once. Needs Optuna: pip install optuna."""

import argparse

import optuna

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.datasets import FakeMMKG

parser = argparse.ArgumentParser()
parser.add_argument("--trials", type=int, default=10)
parser.add_argument("--epochs", type=int, default=10)
args = parser.parse_args()
data = FakeMMKG(num_entities=200, num_relations=4, num_kinds=20, num_facts=400)[0]
fits = {"teacher_fit": {"epochs": args.epochs}, "student_fit": {"epochs": args.epochs}}
teachers = DSoMTrainer(seed=0, rank=32, progress=False, **fits).fit_teachers(data)


def objective(trial: optuna.Trial) -> float:
    options = {
        "gamma": trial.suggest_float("gamma", 0.1, 10.0, log=True),
        "temperature": trial.suggest_float("temperature", 0.5, 4.0),
        "distilled_n3": trial.suggest_float("distilled_n3", 0.002, 0.2, log=True),
        "neighbors": trial.suggest_categorical("neighbors", ["head", "answers", "none"]),
    }
    trainer = DSoMTrainer(seed=0, rank=32, teachers=teachers, progress=False, **fits, **options).fit(data)
    return trainer.evaluate(data, split="val").mrr  # never the test split


study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
study.optimize(objective, n_trials=args.trials)
print(f"best validation MRR {study.best_value:.4f} with {study.best_params}")
