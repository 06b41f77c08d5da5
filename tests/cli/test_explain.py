import json


def test_text_json_and_page(call, run, asked, tmp_path):
    head, relation, tail = asked
    query = ["explain", "--run", run[0], "--head", head, "--relation", relation, "--tail", tail]
    text = call(*query)
    assert text.exit_code == 0, text.output
    assert "(test fact, asked for the tail)" in text.stdout
    assert "the agent's most likely set:" in text.stdout
    told = json.loads(call(*query, "--json", "--asked", "head", "-k", 2).stdout)
    assert [one["name"] for one in told["teachers"]] == ["structure", "image", "text", "fused"]
    assert [one["name"] for one in told["students"]] == ["CE-only student", "DSoM student"]
    assert (told["head"]["id"], told["tail"]["id"], told["asked"]) == (head, tail, "head")
    assert len(told["students"][1]["best"]) == 2
    shown = call(*query, "--html", tmp_path / "why.html")
    assert shown.stdout == text.stdout
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert "What the teachers think" in page
    pictures = sum(int(name.removeprefix("e")) % 4 > 0 for name in (head, tail))
    assert page.count("data:image/png") >= pictures


def test_bad_input(call, run, asked):
    head, relation, _ = asked
    result = call("explain", "--run", run[0], "--head", head, "--relation", relation, "--tail", "e999")
    assert result.exit_code == 2
    assert "unknown name 'e999'" in result.stderr
