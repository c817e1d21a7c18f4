"""Persons and colours in descriptions, and short answers to general questions, as the metrics read them."""

import evaluate
import pytest

from eval.metrics.attributes.attributes import compare, read_mentions
from eval.metrics.general.general import is_right, options_named


MENTIONS = [
    # text, persons, colours
    ("A man in red runs.", {"man": 1}, {("person", "red"): 1}),
    ("Two men in black run.", {"man": 2}, {("person", "black"): 2}),
    ("A woman wearing a blue top waits.", {"woman": 1}, {("person", "blue"): 1}),
    ("The man in the long white coat leaves.", {"man": 1}, {("person", "white"): 1}),
    ("A man in red falls. The man gets up.", {"man": 1}, {("person", "red"): 1}),
    ("A man in red falls. The man in red gets up.", {"man": 1}, {("person", "red"): 1}),
    (
        "A man in red meets a man in blue. The man in blue leaves.",
        {"man": 2},
        {("person", "red"): 1, ("person", "blue"): 1},
    ),
    ("The man in green falls before the man in black.", {"man": 2}, {("person", "green"): 1, ("person", "black"): 1}),
    ("A hooded person in yellow stands.", {"hooded person": 1}, {("person", "yellow"): 1}),
    ("A hooded man in a grey coat hides.", {"hooded person": 1}, {("person", "grey"): 1}),
    ("Two police officers lead a woman away.", {"police officer": 2, "woman": 1}, {}),
    ("A policeman talks to a worker in a hi-vis vest.", {"police officer": 1, "worker": 1}, {}),
    ("A man and another person wait.", {"man": 1, "person": 1}, {}),
    (
        "A man in red and a woman in purple hug.",
        {"man": 1, "woman": 1},
        {("person", "red"): 1, ("person", "purple"): 1},
    ),
    ("A white van hits a red car.", {}, {("vehicle", "white"): 1, ("vehicle", "red"): 1}),
    ("A white van stops. The white van leaves.", {}, {("vehicle", "white"): 1}),
    ("A man grabs a green bag.", {"man": 1}, {("bag", "green"): 1}),
    ("A man in blue with a red backpack.", {"man": 1}, {("person", "blue"): 1, ("bag", "red"): 1}),
    ("Large yellow letters on the wall.", {}, {("paint", "yellow"): 1}),
    ("He takes blue goods.", {}, {("goods", "blue"): 1}),
    ("A gray car.", {}, {("vehicle", "grey"): 1}),
    ("Nobody is around.", {}, {}),
    ("People walk by.", {"person": 1}, {}),
    ("The redhead drives a Greenland car.", {}, {}),
    ("", {}, {}),
]


@pytest.mark.parametrize(("text", "persons", "colours"), MENTIONS)
def test_mentions(text, persons, colours):
    found = read_mentions(text)
    assert (dict(found.persons), dict(found.colours)) == (persons, colours)


def test_a_row_by_hand():
    row = compare(
        "A man in white aims at a woman in blue.", "A man in a red coat aims at a woman in blue by a white van."
    )
    assert (row["colours_met"], row["colours_said"], row["colours_there"]) == (1, 2, 3)
    assert (row["clothes_met"], row["clothes_said"], row["clothes_there"]) == (1, 2, 2)
    assert (row["persons_met"], row["persons_said"], row["persons_there"]) == (2, 2, 2)
    assert (row["number_met"], row["with_persons"]) == (1, 1)


def test_attributes_over_rows():
    metric = evaluate.load("eval/metrics/attributes", keep_in_memory=True)
    truth = ["A man in red runs.", "A white car stops."]
    result = metric.compute(predictions=["A man in red and a man in blue run.", "A car stops."], references=truth)
    assert result["colour_precision"] == 0.5 and result["colour_recall"] == 0.5 and result["colour_f1"] == 0.5
    assert result["person_precision"] == 0.5 and result["person_recall"] == 1.0
    assert result["number_accuracy"] == 0.0 and (result["num_colours"], result["num_persons"]) == (2, 1)
    nothing = metric.compute(predictions=["Cars pass."], references=["Cars pass."], per_row=True)
    assert nothing["colour_f1"] is None and nothing["number_accuracy"] is None and len(nothing["rows"]) == 1


NUMBERS = ["nobody", "one", "two", "three", "five or more"]


@pytest.mark.parametrize(
    ("answer", "options", "named"),
    [
        ("Two people.", NUMBERS, {"two"}),
        ("There are 2 people.", NUMBERS, {"two"}),
        ("Five or more people.", NUMBERS, {"five or more"}),
        ("No one.", NUMBERS, {"nobody"}),
        ("One or two.", NUMBERS, {"one", "two"}),
        ("Someone", NUMBERS, set()),
        ("A woman in blue.", ["man", "woman"], {"woman"}),
        ("It's outside, on the street", ["indoors", "outdoors"], {"outdoors"}),
        ("A parking lot.", ["car park", "street"], {"car park"}),
        ("No.", ["yes", "no"], {"no"}),
        ("Yes, a red car.", ["yes", "no"], {"yes"}),
        ("Not night but daytime", ["day", "night"], {"day", "night"}),
        ("Green", ["red", "green"], {"green"}),
        ("The evergreen", ["red", "green"], set()),
        ("A hug.", ["a hug", "a fight"], {"a hug"}),
        ("raising both hands", ["raising both hands", "standing"], {"raising both hands"}),
    ],
)
def test_options_in_answers(answer, options, named):
    assert options_named(answer, options) == named
    assert is_right(answer, options[0], options) == (named == {options[0]})


def test_general_accuracy():
    metric = evaluate.load("eval/metrics/general", keep_in_memory=True)
    given = {"predictions": ["Two.", "Red.", "Blue."], "references": ["two", "red", "red"]}
    options = [NUMBERS, ["red", "blue"], ["red", "blue"]]
    result = metric.compute(**given, options=options, kinds=["count", "colour", "colour"], per_row=True)
    assert result["rows"] == [1, 1, 0] and result["accuracy"] == pytest.approx(2 / 3)
    assert result["by_kind"] == {"colour": 0.5, "count": 1.0} and result["mean_accuracy"] == 0.75
    with pytest.raises(ValueError, match="'two' is none of its options, one"):
        metric.compute(predictions=["Two."], references=["two"], options=[["one"]])
