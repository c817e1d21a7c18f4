"""Holmes-VAU: video anomaly understanding at any granularity."""

from .configuration_holmes_vau import AnomalyScorerConfig, HolmesVAUConfig
from .modeling_holmes_vau import EncodedVideo, HolmesVAUForConditionalGeneration
from .pipeline_holmes_vau import VideoAnomalyUnderstandingPipeline, VideoChat, analyze_video, find_events
from .processing_holmes_vau import HolmesVAUProcessor
from .sampler_holmes_vau import sample_frames
from .scorer_holmes_vau import AnomalyScorer
from .video_reader_holmes_vau import VideoReadError, open_video


__version__ = "0.1.0"

__all__ = [
    "AnomalyScorer",
    "AnomalyScorerConfig",
    "EncodedVideo",
    "HolmesVAUConfig",
    "HolmesVAUForConditionalGeneration",
    "HolmesVAUProcessor",
    "VideoAnomalyUnderstandingPipeline",
    "VideoChat",
    "VideoReadError",
    "analyze_video",
    "find_events",
    "open_video",
    "sample_frames",
]
