"""The figures that the paper prints in its tables (Zhang et al., CVPR 2025), to stand beside ours."""

# Table 1: (method, explainable, AP on XD-Violence in %, AUC on UCF-Crime in %); None where it prints N/A.
TABLE1 = (
    ("Conv-AE", False, 27.25, 50.6),
    ("GODS", False, None, 70.46),
    ("GCL", False, None, 71.04),
    ("DYANNET", False, None, 84.5),
    ("MIST", False, None, 82.3),
    ("Wu et al. (ECCV 2020)", False, 78.64, 82.44),
    ("RTFM", False, 77.81, 84.3),
    ("MSL", False, 78.28, 85.3),
    ("S3R", False, 80.26, 85.99),
    ("MGFN", False, 79.19, 86.98),
    ("UR-DMU", False, 81.66, 86.97),
    ("CLIP-TSA", False, 82.19, 87.58),
    ("VadCLIP", False, 84.51, 88.02),
    ("Yang et al. (CVPR 2024)", False, 83.68, 87.79),
    ("Wu et al. (CVPR 2024)", False, 66.53, 86.4),
    ("Zero-Shot CLIP", True, 17.83, 53.16),
    ("LLaVA-1.5", True, 50.26, 72.84),
    ("LAVAD", True, 62.01, 80.28),
    ("Holmes-VAU", True, 87.68, 88.96),
)

# Table 2, by method: parameters in billions, and of BLEU (1 to 4, summed), CIDEr, METEOR and ROUGE the figures of
# clips, events and videos.
TABLE2 = {
    "Video-ChatGPT": (7, (0.152, 0.068, 0.066), (0.033, 0.011, 0.013), (0.102, 0.069, 0.044), (0.153, 0.048, 0.079)),
    "Video-LLaMA": (7, (0.151, 0.079, 0.104), (0.024, 0.014, 0.017), (0.112, 0.076, 0.057), (0.156, 0.067, 0.09)),
    "Video-LLaVA": (7, (0.164, 0.046, 0.055), (0.032, 0.009, 0.013), (0.097, 0.022, 0.014), (0.132, 0.023, 0.045)),
    "LLaVA-Next-Video": (7, (0.435, 0.091, 0.12), (0.102, 0.015, 0.031), (0.117, 0.085, 0.096), (0.198, 0.08, 0.106)),
    "QwenVL2": (7, (0.312, 0.082, 0.155), (0.044, 0.02, 0.044), (0.133, 0.092, 0.112), (0.163, 0.081, 0.137)),
    "InternVL2": (8, (0.331, 0.101, 0.145), (0.052, 0.022, 0.035), (0.141, 0.095, 0.101), (0.182, 0.102, 0.122)),
    "Holmes-VAU": (2, (0.913, 0.804, 0.566), (0.467, 1.519, 1.437), (0.19, 0.165, 0.121), (0.329, 0.37, 0.355)),
}

# Table 3, by the levels that were trained on: BLEU and CIDEr of clips, events and videos.
TABLE3 = {
    ("clip",): ((0.984, 0.261, 0.351), (0.459, 0.12, 0.106)),
    ("event",): ((0.508, 0.576, 0.292), (0.097, 1.183, 0.872)),
    ("video",): ((0.28, 0.222, 0.279), (0.039, 0.708, 0.884)),
    ("clip", "event"): ((0.889, 0.741, 0.349), (0.47, 1.285, 0.889)),
    ("clip", "video"): ((0.906, 0.341, 0.522), (0.472, 0.962, 1.093)),
    ("event", "video"): ((0.394, 0.797, 0.505), (0.081, 1.472, 1.074)),
    ("clip", "event", "video"): ((0.913, 0.804, 0.566), (0.467, 1.519, 1.437)),
}

# Table 4, by frames and sampler: BLEU and CIDEr of videos; and by frames the latency to the first token in ms, which
# it prints once for all three samplers.
TABLE4 = {
    (8, "top_k"): (0.462, 1.229),
    (8, "uniform"): (0.491, 1.276),
    (8, "ats"): (0.514, 1.324),
    (16, "top_k"): (0.476, 1.302),
    (16, "uniform"): (0.511, 1.345),
    (16, "ats"): (0.566, 1.437),
    (32, "top_k"): (0.481, 1.332),
    (32, "uniform"): (0.558, 1.357),
    (32, "ats"): (0.576, 1.46),
}
TABLE4_LATENCY_MS = {8: 244, 16: 566, 32: 1402}
