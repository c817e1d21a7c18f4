"""Frame-level anomaly detection: how well scores rank abnormal frames above normal ones."""

import datasets
import evaluate
import numpy as np
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score


_DESCRIPTION = """\
Area under the ROC curve and average precision of frame-level anomaly scores, as reported on UCF-Crime (AUC) and
XD-Violence (AP), with the variants that tell localisation apart from telling videos apart.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (list of lists of float): For each video the anomaly score of each frame; any range, higher is more
        abnormal.
    references (list of lists of int): For each video the label of each frame, 1 where abnormal.

Returns:
    auc (float): Area under the ROC curve over the frames of all videos together (micro). The figure of UCF-Crime.
    ap (float): Area under the precision-recall curve over the frames of all videos, by the trapezoid rule on its
        points, as the literature computes it. The figure of XD-Violence.
    ap_step (float): Average precision by the step rule (scikit-learn's `average_precision_score`). Where scores are
        tied the trapezoid rule is optimistic, and the two differ.
    auc_abnormal (float): AUC over the frames of the videos that have abnormal frames; null without normal frames.
    auc_within (float): Mean over the videos that have both kinds of frames of the AUC within the video (macro);
        null without such videos.
    num_videos, num_frames, num_abnormal_videos (int): What was counted.

Examples:

    >>> import evaluate
    >>> metric = evaluate.load("eval/metrics/frame_anomaly")
    >>> result = metric.compute(predictions=[[0.1, 0.9, 0.3], [0.2, 0.4]], references=[[0, 1, 1], [0, 0]])
    >>> {name: round(result[name], 3) for name in ("auc", "ap", "ap_step", "auc_abnormal", "auc_within")}
    {'auc': 0.833, 'ap': 0.792, 'ap_step': 0.833, 'auc_abnormal': 1.0, 'auc_within': 1.0}
"""

_CITATION = """\
@inproceedings{sultani2018real,
  title     = {Real-World Anomaly Detection in Surveillance Videos},
  author    = {Sultani, Waqas and Chen, Chen and Shah, Mubarak},
  booktitle = {CVPR},
  year      = {2018}
}
@inproceedings{wu2020not,
  title     = {Not only Look, but also Listen: Learning Multimodal Violence Detection under Weak Supervision},
  author    = {Wu, Peng and Liu, Jing and Shi, Yujia and Sun, Yujia and Shao, Fangtao and Wu, Zhaoyang
               and Yang, Zhiwei},
  booktitle = {ECCV},
  year      = {2020}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class FrameAnomaly(evaluate.Metric):
    """AUC and AP of frame-level anomaly scores."""

    def _info(self):
        features = {
            "predictions": datasets.Sequence(datasets.Value("float64")),
            "references": datasets.Sequence(datasets.Value("int8")),
        }
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(features),
        )

    def _compute(self, predictions, references):
        scores = [np.asarray(video, dtype=np.float64) for video in predictions]
        labels = [np.asarray(video, dtype=np.int8) for video in references]
        _check(scores, labels)
        everything, truth = np.concatenate(scores), np.concatenate(labels)
        precision, recall, _ = precision_recall_curve(truth, everything)
        abnormal = [video for video, label in enumerate(labels) if label.any()]
        mixed = [video for video in abnormal if not labels[video].all()]
        among = np.concatenate([labels[video] for video in abnormal])
        within = [roc_auc_score(labels[video], scores[video]) for video in mixed]
        return {
            "auc": float(roc_auc_score(truth, everything)),
            "ap": float(auc(recall, precision)),
            "ap_step": float(average_precision_score(truth, everything)),
            "auc_abnormal": None
            if among.all()
            else float(roc_auc_score(among, np.concatenate([scores[video] for video in abnormal]))),
            "auc_within": float(np.mean(within)) if within else None,
            "num_videos": len(labels),
            "num_frames": len(truth),
            "num_abnormal_videos": len(abnormal),
        }


def _check(scores: list[np.ndarray], labels: list[np.ndarray]) -> None:
    if not labels:
        raise ValueError("There are no videos. Pass one list of scores and one of labels for each video.")
    for video, (score, label) in enumerate(zip(scores, labels)):
        if score.shape != label.shape or not len(label):
            raise ValueError(
                f"Video {video} has {len(score)} scores and {len(label)} labels. Pass one of each for each frame."
            )
        if not np.isfinite(score).all():
            raise ValueError(f"Video {video} has scores that are not finite numbers.")
        if not np.isin(label, (0, 1)).all():
            raise ValueError(f"Video {video} has labels other than 0 and 1.")
    if all(label.all() for label in labels) or not any(label.any() for label in labels):
        raise ValueError("Every frame has the same label: AUC and AP need normal and abnormal frames.")
