"""Adapters for the tests."""

import torch
from peft import get_peft_model

from training.sft_model import lora_config


def write_adapter(model, base, folder):
    """An adapter with random weights, as training leaves it."""
    model.name_or_path = str(base)
    tuned = get_peft_model(model, lora_config(r=4))
    torch.manual_seed(0)
    for name, parameter in tuned.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    tuned.save_pretrained(folder)
    return folder
