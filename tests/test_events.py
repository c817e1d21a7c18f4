import random

import pytest

from modeling_holmes_vau import EventRule, EventTracker, HolmesVAUConfig, find_events


def runs_by_hand(scores, times_s, end_s, rule, gaps_s):
    """Each score lasts to the next, or to the gap before it; runs of lasting scores that adjoin are joined."""
    lasting = []
    for i, score in enumerate(scores):
        until_s = times_s[i + 1] if i + 1 < len(scores) else end_s
        until_s = min([until_s, *(start_s for start_s, _ in gaps_s if times_s[i] < start_s)])
        if score >= rule.low_threshold:
            if lasting and lasting[-1][1] == times_s[i]:
                start_s, _, peak = lasting.pop()
                lasting.append((start_s, until_s, max(peak, score)))
            else:
                lasting.append((times_s[i], until_s, score))
    return [run for run in lasting if run[2] >= rule.threshold and run[1] - run[0] >= rule.min_length_s]


def make_stream(rng):
    times_s = [0.0]
    while len(times_s) < rng.randint(1, 14):
        times_s.append(times_s[-1] + rng.choice([0.25, 0.5, 1.0, 30.0]))
    scores = [rng.choice([0.0, 0.1, 0.3, 0.35, 0.5, 0.6, 0.9]) for _ in times_s]
    gaps_s = [(one + 0.5, two) for one, two in zip(times_s, times_s[1:]) if two - one > 5]
    return scores, times_s, times_s[-1] + rng.choice([0.2, 1.0, 2.0]), gaps_s


def test_a_tracker_over_a_list_is_the_definition():
    rng, found = random.Random(0), 0
    for _ in range(500):
        scores, times_s, end_s, gaps_s = make_stream(rng)
        rule = EventRule(rng.choice([0.5, 0.3, 1.0]), rng.choice([0.3, 0.0, 0.2]), rng.choice([1.0, 0.0, 2.0]))
        events = find_events(scores, times_s, end_s, rule.threshold, rule.low_threshold, rule.min_length_s, gaps_s)
        assert [tuple(event.values()) for event in events] == runs_by_hand(scores, times_s, end_s, rule, gaps_s)
        found += len(events)
    assert found > 300


def test_a_live_event_opens_when_it_is_certain_and_closes_when_it_is_over():
    tracker = EventTracker(EventRule(threshold=0.5, low_threshold=0.3, min_length_s=2.0))
    said = []
    for time_s, score in enumerate([0.1, 0.4, 0.9, 0.2, 0.6, 0.6, 0.6, 0.4, 0.1]):
        said += [(time_s, change.kind, *change.event.values()) for change in tracker.update(float(time_s), score)]
    # The first lasts 2 seconds at its end only: it opens and closes at once.
    assert said == [
        (3, "opened", 1.0, 3.0, 0.9),
        (3, "closed", 1.0, 3.0, 0.9),
        (6, "opened", 4.0, 6.0, 0.6),
        (8, "closed", 4.0, 8.0, 0.6),
    ]
    assert tracker.finish(9.0) == []


def test_a_stream_that_ends_closes_its_event():
    tracker = EventTracker(EventRule(min_length_s=0.5))
    tracker.update(0.0, 0.9)
    opened, closed = tracker.finish(1.0)
    assert (opened.kind, closed.kind) == ("opened", "closed") and closed.event["end_s"] == 1.0
    assert tracker.finish(2.0) == []


def test_an_event_told_before_does_not_change():
    tracker = EventTracker(EventRule(min_length_s=0.0))
    (opened,) = tracker.update(0.0, 0.9)
    tracker.update(1.0, 1.0)
    assert opened.event == {"start_s": 0.0, "end_s": 0.0, "peak_score": 0.9}


def test_rules_out_of_range_are_a_line():
    for arguments, said in (((1.5,), r"in \[0, 1\], got 1.5"), ((0.2, 0.3), "got 0.3"), ((0.5, 0.3, -1.0), "got -1")):
        with pytest.raises(ValueError, match=said):
            EventRule(*arguments)
    tracker = EventTracker(EventRule())
    tracker.update(1.0, 0.5)
    with pytest.raises(ValueError, match="must be later than the 1.0 s"):
        tracker.update(1.0, 0.5)


def test_the_rule_of_a_checkpoint():
    config = HolmesVAUConfig(event_threshold=0.6, event_low_threshold=0.3, event_min_length_s=2)
    assert EventRule.of(config) == EventRule(0.6, 0.3, 2)
    scaled = EventRule.of(config, 0.8)
    assert (scaled.threshold, scaled.low_threshold, scaled.min_length_s) == (0.8, pytest.approx(0.4), 2)
