"""Holmes-VAU: video anomaly understanding at any granularity."""

import importlib


__version__ = "0.1.0"

# Each public name and its file. They are loaded on first use: reading a video does not import the language model.
_FILES = {
    "Analysis": "analysis",
    "AnomalyScorer": "scorer",
    "AnomalyScorerConfig": "configuration",
    "EncodedVideo": "encoder",
    "EventRule": "events",
    "EventTracker": "events",
    "FrameRule": "frame_rule",
    "HolmesVAUConfig": "configuration",
    "HolmesVAUForConditionalGeneration": "modeling",
    "HolmesVAUProcessor": "processing",
    "VideoAnomalyUnderstandingPipeline": "pipeline",
    "VideoChat": "session",
    "VideoEncoder": "encoder",
    "VideoReadError": "video_reader",
    "VideoSession": "session",
    "analyze_video": "pipeline",
    "find_events": "events",
    "open_video": "video_reader",
    "sample_frames": "sampler",
}
__all__ = list(_FILES)


def __getattr__(name: str):
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_FILES[name]}_holmes_vau", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_FILES})
