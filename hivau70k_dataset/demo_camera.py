"""The camera of the synthetic street, the measures of what it sees, and soft shapes to draw with.

x runs along the street, y up, z across it, away from the camera.
"""

import math

import numpy as np
from PIL import Image, ImageDraw


Draw = ImageDraw.ImageDraw

SUPERSAMPLE = 2  # everything is drawn at this many times the output size, then averaged down
MARGIN_PX = 8  # spare border of the drawing, for the camera to shake in

# The camera: metres and degrees, focal length in pixels at the reference size of 640 x 360.
CAMERA_M, YAW_DEG, PITCH_DEG, FOCAL_PX = (0.0, 6.6, -6.5), 27.0, 12.5, 520.0

# The street: z in metres of each band's far edge.
NEAR_KERB_Z, MIDDLE_Z, BAY_Z, FAR_KERB_Z, FACADE_Z = 5.2, 8.9, 12.5, 14.9, 19.0
LANES = ((7.1, 1.0), (10.7, -1.0))  # z in metres, direction along x
PARKED_Z = 13.7


class Camera:
    """A pinhole camera; pixels are those of the supersampled drawing, border included."""

    def __init__(self, width: int, height: int):
        self.width, self.height = (SUPERSAMPLE * side + 2 * MARGIN_PX for side in (width, height))
        self.focal_px = FOCAL_PX * SUPERSAMPLE * max(width / 640, height / 360)
        yaw, pitch = math.radians(YAW_DEG), math.radians(PITCH_DEG)
        self.position = np.array(CAMERA_M)
        right = (math.cos(yaw), 0.0, -math.sin(yaw))
        up = (math.sin(yaw) * math.sin(pitch), math.cos(pitch), math.cos(yaw) * math.sin(pitch))
        forward = (math.sin(yaw) * math.cos(pitch), -math.sin(pitch), math.cos(yaw) * math.cos(pitch))
        self.axes = np.array([right, up, forward])

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points (N, 3) in metres -> (N, 3): column and row in pixels, depth in metres."""
        x, y, depth = self.axes @ (np.asarray(points) - self.position).T
        scale = self.focal_px / np.maximum(depth, 0.1)
        return np.stack([self.width / 2 + x * scale, self.height / 2 - y * scale, depth], axis=1)

    def rays(self) -> np.ndarray:
        """The viewing direction of every pixel, (height, width, 3)."""
        column = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal_px
        row = (self.height / 2 - np.arange(self.height) - 0.5) / self.focal_px
        right, up, forward = self.axes
        return row[:, None, None] * up + column[None, :, None] * right + forward


def smooth(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, an S-curve between."""
    ramp = np.clip((value - low) / (high - low), 0.0, 1.0)
    return ramp * ramp * (3.0 - 2.0 * ramp)


def cloud(rng: np.random.Generator, side: int, octaves: int) -> np.ndarray:
    """Soft noise (side, side) around 0 that tiles: a sum of ever finer random grids, each half as strong."""
    total = np.zeros((side, side), np.float32)
    for octave in range(octaves):
        cells = 4 << octave
        grid = np.pad(rng.standard_normal((cells, cells)).astype(np.float32), 2, mode="wrap")
        box = (2, 2, cells + 2, cells + 2)
        total += np.asarray(Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC, box)) / 2**octave
    return total
