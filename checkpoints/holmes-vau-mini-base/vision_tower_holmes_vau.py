"""A small convolutional vision tower in the form InternVL's has: a class token, then a square grid of patch tokens."""

import torch
from transformers import ResNetModel
from transformers.modeling_outputs import BaseModelOutput


class ResNetVisionTower(ResNetModel):
    """
    A ResNet for models that are trained from scratch on little: it learns from hundreds of videos what a vision
    transformer needs many more for. Used where `vision_config` has `model_type` "resnet".

    The class token is the maximum of each channel over the positions, so that what is small in the picture counts.
    Batch statistics are those of its pretraining and stay, whatever mode the model around it is in.
    """

    def train(self, mode: bool = True) -> "ResNetVisionTower":
        """Stays in evaluation mode; to train it anew, call `train` of its `embedder` and `encoder`."""
        return super().train(False)

    def forward(self, pixel_values: torch.Tensor, **kwargs) -> BaseModelOutput:
        """Pictures `(B, 3, H, W)` -> `last_hidden_state` `(B, 1 + positions, hidden_size)`."""
        maps = super().forward(pixel_values).last_hidden_state  # (B, hidden_size, height, width)
        tokens = maps.flatten(2).transpose(1, 2)  # (B, positions, hidden_size)
        return BaseModelOutput(last_hidden_state=torch.cat((tokens.amax(1, keepdim=True), tokens), dim=1))
