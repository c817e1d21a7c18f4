import pytest

from hivau70k_dataset.labels import CLASSES, canonical_class, classes_of_name, parse_judgement


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("Arson", "Arson"),
        ("road accident", "RoadAccidents"),
        ("RoadAccident", "RoadAccidents"),
        ("Car  Accidents", "RoadAccidents"),
        ("Theft or Vehicle Break-in", "Stealing"),
        ("Physical Altercation/Violence", "Fighting"),
        ("burglaries", "Burglary"),
        ("Privacy Violation", None),
        ("", None),
    ],
)
def test_spellings(spelling, name):
    assert canonical_class(spelling) == name


def test_every_class_is_its_own_spelling():
    assert [canonical_class(name) for name in CLASSES] == list(CLASSES)


@pytest.mark.parametrize(
    ("text", "abnormal", "classes"),
    [
        ("The anomaly exists and its specific name is Arson.", True, ("Arson",)),
        ("The anomaly exists and is specifically referred to as the Riot anomaly.", True, ("Riot",)),
        ("An anomaly exists, specifically a Shooting and Car Accident anomaly.", True, ("Shooting", "RoadAccidents")),
        ("There are two anomaly events: Car Accident and Physical Altercation.", True, ("RoadAccidents", "Fighting")),
        ("An anomaly exists, specifically Shoplifting, where a fight is feared.", True, ("Shoplifting",)),
        ("An anomaly exists: a man leaves the shop without paying.", True, ()),
        ("An anomaly exists: Shooting. Nobody is hurt.", True, ("Shooting",)),
        ("An anomaly exists. It is not a robbery.", True, ()),
        ("Two anomaly events exist in the video.", True, ()),
        ("No anomaly exists in the video, as it shows traffic.", False, ()),
        ("There is no anomaly event (Shooting) in the video.", False, ()),
        ("The video does not show any abnormal behaviour.", False, ()),
        ("The video doesn’t show a fight.", False, ()),
        ("Anomaly detected: No", False, ()),
        ("An anomaly exists: no driver stops.", True, ()),
        ("A dog crosses the street.", None, ()),
        ("", None, ()),
    ],
)
def test_judgements(text, abnormal, classes):
    judgement = parse_judgement(text)
    assert (judgement.abnormal, judgement.classes) == (abnormal, classes)


@pytest.mark.parametrize(
    ("video", "classes"),
    [
        ("Abuse028_x264", ("Abuse",)),
        ("RoadAccidents021_x264", ("RoadAccidents",)),
        ("Normal_Videos_944_x264", ()),
        ("Testing_Normal_Videos_003_x264", ()),
        ("v=3WmMhircZOc__#1_label_B4-0-0", ("Riot",)),
        ("Casino.Royale.2006__#00-51-16_00-52-41_label_B1-B6-0", ("Fighting", "RoadAccidents")),
        ("v=ibYV3e17R5c__#1_label_A", ()),
        ("v=ibYV3e17R5c__#1_label_Z", None),
        ("camera7", None),
        ("Holiday001_x264", None),
    ],
)
def test_classes_in_names(video, classes):
    assert classes_of_name(video) == classes
