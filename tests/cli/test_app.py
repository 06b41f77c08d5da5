import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from torch_geometric_dsom import __version__
from torch_geometric_dsom.cli import app, main
from torch_geometric_dsom.cli.progress import RunProgress

COMMAND = [sys.executable, "-m", "torch_geometric_dsom"]
NAMES = [command.callback.__name__ for command in app.registered_commands]


def examples_of(name):
    """The examples in a command's help, without the program's name."""
    command = next(command for command in app.registered_commands if command.callback.__name__ == name)
    lines = [line for line in command.epilog.splitlines() if line.startswith("torch-geometric-dsom ")]
    return [shlex.split(line)[1:] for line in lines]


def test_it_tells_its_version(call):
    assert call("--version").stdout.strip() == __version__


def test_help_tells_commands_examples_and_exit_codes(call):
    told = " ".join(call("--help").output.split())
    for name in NAMES:
        assert name in told
        assert "Examples:" in call(name, "--help").output
        assert examples_of(name)
    for code in ("0 done", "2 wrong input", "130 Ctrl-C", "143 SIGTERM"):
        assert code in told


def test_every_example_of_the_help_runs(call, tiny, tmp_path, monkeypatch, small_folder):
    """In a folder with nothing but what the examples name, in the order of the help; only sizes are other ones."""
    import torch

    monkeypatch.setenv("DSOM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "path" / "to").mkdir(parents=True)
    (tmp_path / "path" / "to" / "folder").symlink_to(small_folder)
    torch.save(torch.ones(2, 3), "vgg.pth")
    (tmp_path / "entities.txt").write_text("a\nb\n", encoding="utf-8")
    small = [*tiny, "--epochs", 1, "--set", "teacher_fit.epochs=1", "--image-encoder", "none", "--text-encoder", "none"]
    for name in NAMES:
        for arguments in examples_of(name):
            more = small if name == "train" and "--dataset" in arguments else []
            result = call(*arguments, *more)
            assert result.exit_code == 0, (arguments, result.output)
    assert (tmp_path / "runs" / "again" / "results.json").is_file()


def test_errors_are_one_line_and_exit_code_two(call):
    result = call("validate", "EmojiWord")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: dataset: ")
    assert result.stderr.count("\n") == 1
    assert call("validate").exit_code == 2
    assert call("train", "--nonsense").exit_code == 2
    with pytest.raises(SystemExit) as stop:
        main(["validate", "EmojiWord"])
    assert stop.value.code == 2


def test_what_nobody_expected_is_no_users_error(monkeypatch, call):
    """It comes through with its traceback: Python's own exit code for that is 1."""
    from torch_geometric_dsom.cli import datasets

    monkeypatch.setattr(datasets, "DATASETS", None)
    with pytest.raises(AttributeError, match="items"):
        call("datasets")


def test_a_reader_that_goes_away_is_no_error():
    with subprocess.Popen([*COMMAND, "datasets"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        error = process.stderr.read().decode()
    assert error == ""
    assert process.returncode == 141


def test_sigterm_keeps_the_state_and_resume_goes_on(call, tiny, graph_options, tmp_path):
    options = [str(option) for option in [*graph_options, *tiny]]
    long = ["--set", "student_fit.epochs=3000", "--set", "student_fit.evaluate_every=3000"]
    command = [*COMMAND, "train", *options, *long, "--checkpoint-every", "1000", "--out", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        finished = tmp_path / "run" / "checkpoints" / "phases" / "teacher%2Ftext" / "manifest.json"
        end = time.monotonic() + 120
        while not finished.exists() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=60)
    assert process.returncode == 143, error.decode()
    assert out == b""
    assert "--resume" in error.decode()
    assert "Traceback" not in error.decode()
    shown = call("train", "--out", tmp_path / "run", "--resume", "--show-config", "--json")
    assert shown.exit_code == 0
    assert '"epochs": 3000' in shown.stdout


def test_ctrl_c_keeps_the_state_and_resume_gives_what_was_to_come(call, tiny, graph_options, tmp_path, monkeypatch):
    options = ["train", *graph_options, *tiny]
    whole = call(*options, "--out", tmp_path / "whole")
    seen = RunProgress.__call__

    def stop(progress, record):
        seen(progress, record)
        if record["phase"] == "student" and record["epoch"] == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(RunProgress, "__call__", stop)
    result = call(*options, "--out", tmp_path / "run")
    assert result.exit_code == 130
    assert result.stdout == ""
    assert "stopped: student: stopped, saved in" in result.stderr
    monkeypatch.setattr(RunProgress, "__call__", seen)
    again = call("train", "--out", tmp_path / "run", "--resume")
    assert again.stdout == whole.stdout
    assert "student: epoch 2" in again.stderr
    assert "student: epoch 1" not in again.stderr
