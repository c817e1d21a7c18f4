import pytest

from modeling_holmes_vau import HolmesVAUConfig


def test_scorer_width_follows_the_vision_tower():
    assert HolmesVAUConfig(vision_config={"hidden_size": 64}).scorer_config.feature_size == 64
    assert HolmesVAUConfig(scorer_config={"memory_size": 8}).scorer_config.memory_size == 8


def test_round_trip_keeps_every_number(tmp_path):
    config = HolmesVAUConfig(max_cached_frames=12, sampler="nearest", sampler_tau=0.2, event_min_length_s=2)
    config.save_pretrained(tmp_path)
    loaded = HolmesVAUConfig.from_pretrained(tmp_path)
    kept = ("max_cached_frames", "sampler", "sampler_tau", "event_min_length_s")
    assert [getattr(loaded, name) for name in kept] == [12, "nearest", 0.2, 2]
    assert loaded.scorer_config.to_dict() == config.scorer_config.to_dict()


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ({"sampler": "best"}, "got 'best'"),
        ({"encode_batch_size": 0}, "`encode_batch_size` must be at least 1"),
        ({"sampler_tau": -0.1}, "`sampler_tau` must not be negative"),
        ({"event_threshold": 0.2}, "event_low_threshold"),
        ({"vision_feature_layer": -2}, "`vision_feature_layer` must be -1"),
        ({"max_cached_frames": "many"}, "max_cached_frames"),
    ],
)
def test_bad_numbers_are_refused(argument, said):
    with pytest.raises(Exception, match=said):
        HolmesVAUConfig(**argument)


def test_what_the_processor_owns_is_not_kept(tmp_path):
    """Checkpoints of before say the number of frames and the stride in both."""
    config = HolmesVAUConfig(num_frames=12, frame_stride=8)
    assert not {"num_frames", "frame_stride"} & config.to_dict().keys()
