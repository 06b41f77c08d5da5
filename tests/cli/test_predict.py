import json
import shutil

from torch_geometric_dsom import DSoMTrainer


def test_known_facts_are_left_out_or_marked(call, run, small_folder):
    folder, _ = run
    train = [line.split("\t") for line in (small_folder / "train.tsv").read_text().splitlines()]
    head, relation, _ = train[0]
    there = {tail for h, r, tail in train if (h, r) == (head, relation)}
    query = ["predict", "--run", folder, "--head", head, "--relation", relation, "-k", 60, "--json"]
    answers = json.loads(call(*query).stdout)
    assert there.isdisjoint(answer["id"] for answer in answers)
    marked = json.loads(call(*query, "--known").stdout)
    assert {answer["id"] for answer in marked if answer["known"]} == there
    assert [answer["id"] for answer in marked if not answer["known"]] == [answer["id"] for answer in answers]
    text = call(*query[:-1], "--known").stdout
    assert text.count("  known\n") == len(there)
    assert len(text.splitlines()) == 1 + len(marked)


def test_without_the_dataset_it_answers_and_says_so(call, run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run[0] / "model", copy)  # nothing but what trainer.save wrote
    trainer = DSoMTrainer.load(copy)
    expected = [answer.id for answer in trainer.predict(head="e0", relation="r0", k=3)]
    result = call("predict", "--run", copy, "--head", "e0", "--relation", "r0", "-k", 3, "--json")
    assert result.exit_code == 0
    assert [answer["id"] for answer in json.loads(result.stdout)] == expected
    assert "known facts are not left out" in result.stderr


def test_unknown_names_are_named(call, run):
    result = call("predict", "--run", run[0], "--head", "e999", "--relation", "r0")
    assert result.exit_code == 2
    assert "entity: unknown name 'e999'" in result.stderr


def test_a_page_with_pictures(call, run, asked, tmp_path):
    head, relation, _ = asked
    result = call(
        "predict", "--run", run[0], "--head", head, "--relation", relation, "-k", 4, "--html", tmp_path / "a.html"
    )
    assert result.exit_code == 0, result.output
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page.count('class="verdict ranked"') == 4
    assert "data:image/png" in page
