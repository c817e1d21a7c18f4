"""Plugins of evaluation harnesses: their own programs run Holmes-VAU, without a fork of theirs.

lmms-eval finds [`manifest`] through the entry point group `lmms_eval.models` and then knows `--model holmes_vau`.
"""


def manifest():
    """What lmms-eval asks an entry point for: the name of the model, and where its class is."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest("holmes_vau", simple_class_path=f"{__name__}.lmms.HolmesVAU")
