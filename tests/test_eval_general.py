"""General questions: asked of a model, kept, and counted beside blind answers."""

import json

import pytest

from eval import general
from eval.answers.general import Answered, blind_answers, read_answers
from hivau70k_dataset.general import read_general
from hivau70k_dataset.miniature.render import render_miniature
from tests.chat_server import chat_server, completion
from tests.rivals import write_holmes_vau


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    render_miniature(folder, "test", videos=2, size=64, workers=1, progress=False)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_holmes_vau(tmp_path_factory.mktemp("tiny") / "tiny")


def argv(mini, model, output, **options) -> list[str]:
    given = {"model": model, "annotations": mini, "videos": mini / "videos", "output": output, "device": "cpu"}
    given |= {"max-new-tokens": 4, "num-frames": 2, **options}
    return ["predict", *(str(word) for name, value in given.items() for word in (f"--{name}", value))]


@pytest.fixture(scope="module")
def whole(mini, tiny, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "general.jsonl"
    assert general.main(argv(mini, tiny, output)) == 0
    return output


def test_each_question_has_a_line(whole, mini):
    rows = [row for row in read_general(mini, "test") if row.options]
    lines = [json.loads(line) for line in whole.read_text().splitlines()]
    assert [line["row"] for line in lines] == [*range(len(rows))] and len(rows) > 10
    assert [(line["question"], line["key"], tuple(line["options"])) for line in lines] == [
        (row.question, row.key, row.options) for row in rows
    ]


def test_a_begun_run_goes_on_to_the_same_lines(whole, mini, tiny, tmp_path, capsys):
    output = tmp_path / "general.jsonl"
    assert general.main(argv(mini, tiny, output, limit=5)) == 0
    assert general.main(argv(mini, tiny, output)) == 1
    assert "limit 5" in capsys.readouterr().err  # made with other settings
    parts = tmp_path / "again.jsonl.parts"
    parts.mkdir()
    (tmp_path / "again.jsonl.settings.json").write_text((whole.parent / "general.jsonl.settings.json").read_text())
    half = whole.read_text().splitlines(keepends=True)[::2]
    (parts / "0.jsonl").write_text("".join(half) + '{"row": 1, "pred')  # a kill cut the last line off
    assert general.main(argv(mini, tiny, tmp_path / "again.jsonl")) == 0
    assert (tmp_path / "again.jsonl").read_text() == whole.read_text()


def test_an_endpoint_answers_too(mini, tmp_path):
    with chat_server(lambda asked, number: (200, completion("Two people, by day."))) as (url, _):
        options = {"endpoint": url, "limit": 4}
        assert general.main(argv(mini, "served", tmp_path / "g.jsonl", **options)) == 0
    assert {answer.prediction for answer in read_answers(tmp_path / "g.jsonl")} == {"Two people, by day."}


def test_the_report_counts(tmp_path, capsys):
    lines = [
        {"row": i, "id": str(i), "video": f"m/videos/test/{i % 5}.mp4", "kind": kind, "question": "?", "key": key}
        | {"options": options, "prediction": answer}
        for i, (kind, key, options, answer) in enumerate(
            [("light", "day", ["day", "night"], "By day.")] * 6
            + [("light", "night", ["day", "night"], "By day.")] * 2
            + [("order", "a hug", ["a hug", "a fight"], "A hug.")] * 2
        )
    ]
    (tmp_path / "g.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert general.main(["score", "--predictions", str(tmp_path / "g.jsonl"), "-o", str(tmp_path / "out")]) == 0
    pools = {pool["kind"]: pool for pool in json.loads((tmp_path / "out" / "report.json").read_text())["pools"]}
    accuracy = {kind: pool["scores"]["model"]["accuracy"]["value"] for kind, pool in pools.items()}
    assert accuracy == {None: 0.8, "light": 0.75, "order": 1.0}
    assert pools["light"]["scores"]["most frequent"]["accuracy"]["value"] == 0.75
    assert "| light | 8 | **0.750**" in (tmp_path / "out" / "report.md").read_text()


def test_blind_answers_see_the_kind_alone():
    answers = [Answered("who", "v", key, ["man", "woman"], "") for key in ("man", "man", "woman")]
    answers += [Answered("order", "v", "x", ["x", "y"], ""), Answered("order", "v", "p", ["p", "q"], "")]
    blind = blind_answers(answers, 0)
    assert blind["most frequent"][:3] == ["man"] * 3
    assert sorted(blind["shuffled"][:3]) == ["man", "man", "woman"]
    assert all(said in answer.options for said, answer in zip(blind["shuffled"], answers))


def test_mistakes_are_told(mini, tiny, tmp_path, capsys):
    def said(*words) -> str:
        assert general.main([*map(str, words)]) == 1
        return capsys.readouterr().err

    assert "no such folder" in said(*argv(mini, tiny, tmp_path / "g", videos=tmp_path / "none"))
    assert "no general questions of the split 'train'" in said(*argv(mini, tiny, tmp_path / "g", split="train"))
    assert "--limit must be at least 1" in said(*argv(mini, tiny, tmp_path / "g", limit=0))
    assert "no such file" in said("score", "--predictions", tmp_path / "none", "-o", tmp_path / "out")
    (tmp_path / "bad.jsonl").write_text('{"row": 0}\n')
    assert "line 1: is no answer" in said("score", "--predictions", tmp_path / "bad.jsonl", "-o", tmp_path / "out")
