"""The event of the synthetic street: a car explodes, burns under smoke and smoulders on."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .demo_camera import SUPERSAMPLE, Camera, Draw, cloud, smooth


GRAVITY_MPS2 = 9.81

# Colours of fire by its heat; below 0.24 soot takes over. The light it casts, and its glare in the lens.
HEAT_STEPS = (0.0, 0.2, 0.45, 0.7, 1.0)
HEAT_COLOURS = np.array([(70, 26, 16), (150, 52, 20), (236, 112, 28), (255, 196, 84), (255, 248, 214)], np.float32)
LIGHT_COLOUR, GLARE_COLOUR = np.array([1.0, 0.62, 0.30], np.float32), np.array([120, 78, 36], np.float32)
WIND_MPS = np.array([0.75, 0.0, 0.1])
FLASH_S, FIREBALL_S, EMBERS = 0.1, 0.9, 0.34  # how fast the flash and the fireball dim, and what remains

# Fire, smoke and dust are round soft puffs. A kind bounds what each of its puffs draws: how long it lives, how soon
# air stops it, how fast it rises, its radius when young and old, its heat, the time it takes to cool, the soot's grey.
PUFF = np.dtype(
    [(name, float) for name in ("birth_s", "life_s", "drag_s", "rise_mps", "young_m", "old_m", "heat", "cool_s")]
    + [("soot", float), ("opacity", float), ("place_m", float, 3), ("velocity_mps", float, 3), ("texture", int)]
)
FIREBALL = {"life_s": (2.2, 4.6), "drag_s": (0.34, 0.34), "rise_mps": (1.0, 2.2), "young_m": (0.5, 0.8)}
FIREBALL |= {"old_m": (1.3, 2.3), "heat": (0.75, 1.15), "cool_s": (0.35, 1.0), "soot": (0.12, 0.22)}
DUST = {"life_s": (1.8, 3.4), "drag_s": (0.55, 0.55), "rise_mps": (0.1, 0.4), "young_m": (0.3, 0.5)}
DUST |= {"old_m": (1.1, 1.9), "heat": (0.0, 0.0), "cool_s": (1.0, 1.0), "soot": (0.5, 0.62)}
SMOKE = {"life_s": (5.2, 8.2), "drag_s": (1.5, 1.5), "rise_mps": (1.3, 2.0), "young_m": (0.6, 0.9)}
SMOKE |= {"old_m": (2.0, 3.3), "heat": (0.0, 0.3), "cool_s": (0.4, 0.6), "soot": (0.1, 0.24)}
FLAME = {"life_s": (0.35, 0.8), "drag_s": (1.0, 1.0), "rise_mps": (1.8, 3.2), "young_m": (0.4, 0.8)}
FLAME |= {"old_m": (0.1, 0.3), "heat": (0.55, 0.9), "cool_s": (0.45, 0.9), "soot": (0.1, 0.2)}


@dataclass(frozen=True)
class Event:
    """One abnormal event: its class and its span in seconds from the start of the video."""

    label: str
    start_s: float
    end_s: float


def _puff_texture(rng: np.random.Generator) -> np.ndarray:
    """Opacity in [0, 1] and relief (light from the upper left) of one billow, (2, 96, 96)."""
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    lumps, radius = cloud(rng, 96, 4), np.hypot(x, y)
    cover = smooth(0.78 + 0.16 * lumps - radius, 0.0, 0.42) * (1 - smooth(radius, 0.8, 1.0))
    return np.stack([cover, 0.16 * lumps - 0.27 * y - 0.17 * x]).astype(np.float32)


class Explosion:
    """A parked car blows up: a flash, a fireball that throws debris and cools into smoke, a fire that smoulders on."""

    def __init__(self, event: Event, end_s: float, place: np.ndarray, camera: Camera, rng: np.random.Generator):
        self.event, self.centre, self.camera = event, place + (0.0, 0.9, 0.0), camera
        self.textures = [_puff_texture(rng) for _ in range(6)]
        self.sprites: dict[tuple[int, int], np.ndarray] = {}
        puffs = np.concatenate([*self._burst(rng), *self._burn(end_s, rng)])
        self.puffs = puffs[np.argsort(puffs["birth_s"], kind="stable")]
        angle, speed = rng.uniform(0, 2 * math.pi, 46), rng.uniform(2.5, 8.5, 46)
        throw = (speed * np.cos(angle), rng.uniform(4.0, 13.0, 46), 0.6 * speed * np.sin(angle))
        self.debris_mps = np.stack(throw, axis=1)
        self.debris_size_m, self.debris_spin = rng.uniform(0.05, 0.17, 46), rng.uniform(-12, 12, 46)

    def _puffs(
        self,
        kind: dict[str, tuple[float, float]],
        birth_s: np.ndarray,
        spread_m: tuple[float, float, float],
        velocity_mps: np.ndarray,
        opacity: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        puffs = np.zeros(len(birth_s), PUFF)
        for name, (low, high) in kind.items():
            puffs[name] = rng.uniform(low, high, len(puffs))
        puffs["birth_s"], puffs["opacity"], puffs["velocity_mps"] = birth_s, opacity, velocity_mps
        puffs["place_m"] = self.centre + rng.normal(0, 1, (len(puffs), 3)).clip(-1.6, 1.6) * spread_m
        puffs["texture"] = rng.integers(0, len(self.textures), len(puffs))
        return puffs

    def _burst(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        start_s = self.event.start_s
        out = rng.normal(0, 1, (56, 3)) * (1.0, 0.8, 0.8) + (0, 0.55, 0)
        out *= (rng.uniform(2.5, 9.5, 56) / np.linalg.norm(out, axis=1))[:, None]
        out[:, 1] = np.abs(out[:, 1])
        yield self._puffs(FIREBALL, start_s + rng.uniform(0, 0.16, 56), (0.35, 0.35, 0.35), out, 0.95, rng)
        angle = np.linspace(0, 2 * math.pi, 30)
        ring = np.stack([np.cos(angle), 0.05 + 0 * angle, np.sin(angle)], axis=1) * rng.uniform(5, 11, (30, 1))
        yield self._puffs(DUST, start_s + rng.uniform(0.05, 0.2, 30), (0.5, 0.1, 0.3), ring, 0.42, rng)

    def _burn(self, end_s: float, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """The fire in the wreck and its smoke: fierce during the event, low from then to the end of the video."""
        fierce, low = (self.event.start_s + 0.25, self.event.end_s), (self.event.end_s, end_s)
        for kind, span_s, per_s, spread_m, opacity in (
            (SMOKE, fierce, 6.0, (0.8, 0.3, 0.3), 0.8),
            (SMOKE, low, 3.5, (0.8, 0.3, 0.3), 0.55),
            (FLAME, fierce, 70.0, (0.85, 0.2, 0.3), 0.55),
            (FLAME, low, 24.0, (0.85, 0.2, 0.3), 0.55),
        ):
            birth_s = np.arange(*span_s, 1 / per_s)
            birth_s += rng.uniform(0, 0.5 / per_s, len(birth_s))
            drift = rng.normal(0, 0.3, (len(birth_s), 3))
            yield self._puffs(kind, birth_s, spread_m, drift, opacity, rng)

    def brightness(self, time_s: float) -> float:
        """How strongly the fire lights the street: about 7 at the flash, a few tenths while the wreck burns."""
        age_s = time_s - self.event.start_s
        flicker = 1 + 0.18 * math.sin(23 * age_s) * math.sin(9.1 * age_s + 1)
        embers = EMBERS * (1 - 0.6 * min(1.0, max(0.0, (time_s - self.event.end_s) / 2)))
        return 4.5 * math.exp(-age_s / FLASH_S) + 2.6 * math.exp(-((age_s / FIREBALL_S) ** 2)) + embers * flicker

    def draw_ground(self, draw: Draw) -> None:
        """Scorched ground, which stays."""
        turn = np.linspace(0, 2 * math.pi, 28, endpoint=False)
        shape = np.stack([1.25 * np.cos(turn), 0 * turn, np.sin(turn)], axis=1)
        shape *= (1 + 0.08 * np.sin(5 * turn))[:, None]
        for radius_m in (3.7, 3.4, 3.1, 2.8, 2.5, 2.2):
            outline = self.camera.project(self.centre * (1, 0, 1) + radius_m * shape)[:, :2]
            draw.polygon(outline.ravel().tolist(), fill=(12, 11, 10, 36))

    def draw_debris(self, draw: Draw, time_s: float) -> None:
        """Pieces of the car, glowing at first, that fly in arcs and stay where they land."""
        age_s, climb = time_s - self.event.start_s, self.debris_mps[:, 1]
        landing_s = (climb + np.sqrt(climb**2 + 2 * GRAVITY_MPS2 * self.centre[1])) / GRAVITY_MPS2
        flight_s = np.minimum(age_s, landing_s)[:, None]
        points = self.centre + self.debris_mps * flight_s - (0, GRAVITY_MPS2 / 2, 0) * flight_s**2
        glow = max(0.0, 1 - age_s / 1.1)
        colour = (int(36 + 210 * glow), int(33 + 120 * glow), int(30 + 30 * glow))
        turns = self.debris_spin * flight_s[:, 0]
        for (column, row, depth_m), size_m, turn in zip(self.camera.project(points), self.debris_size_m, turns):
            reach = size_m * self.camera.focal_px / depth_m
            spokes = [(turn + angle, reach * share) for angle, share in ((0, 1), (1.3, 0.5), (3.1, 0.9), (4.4, 0.6))]
            draw.polygon([(column + far * math.cos(at), row + far * math.sin(at)) for at, far in spokes], fill=colour)

    def draw_puffs(self, canvas: Image.Image, time_s: float) -> None:
        """Move, grow and cool all live puffs to this moment and lay them over the drawing, oldest first."""
        age_s = time_s - self.puffs["birth_s"]
        alive = (age_s >= 0) & (age_s < self.puffs["life_s"])
        puffs, age_s = self.puffs[alive], age_s[alive]
        part = age_s / puffs["life_s"]
        place_m = puffs["place_m"] + WIND_MPS * age_s[:, None] ** 1.2
        place_m += puffs["velocity_mps"] * (puffs["drag_s"] * (1 - np.exp(-age_s / puffs["drag_s"])))[:, None]
        place_m += (0.12 * np.sin(age_s * 1.7 + 9 * puffs["birth_s"]) * np.sqrt(age_s))[:, None]  # it sways
        place_m[:, 1] = np.maximum(place_m[:, 1] + puffs["rise_mps"] * age_s, 0.15)
        radius_m = puffs["young_m"] + (puffs["old_m"] - puffs["young_m"]) * (1 - np.exp(-3 * part))
        spots = self.camera.project(place_m)
        radius = radius_m * self.camera.focal_px / spots[:, 2]
        heat = puffs["heat"] * np.exp(-age_s / puffs["cool_s"])
        opacity = puffs["opacity"] * smooth(part, -0.02, 0.06) * (1 - smooth(part, 0.35, 1.0))
        self._blend(canvas, puffs, spots[:, :2] / SUPERSAMPLE, radius / SUPERSAMPLE, heat, opacity.astype(np.float32))

    def _blend(
        self,
        canvas: Image.Image,
        puffs: np.ndarray,
        spots: np.ndarray,
        radius: np.ndarray,
        heat: np.ndarray,
        opacity: np.ndarray,
    ) -> None:
        """Paint the puffs over one another, at the output's resolution: they are soft, and it is four times faster."""
        width, height = canvas.width // SUPERSAMPLE, canvas.height // SUPERSAMPLE
        hot = smooth(heat, 0.06, 0.24).astype(np.float32)
        flame = np.stack([np.interp(heat, HEAT_STEPS, channel) for channel in HEAT_COLOURS.T], axis=1)
        soot = puffs["soot"][:, None] * np.array([236, 234, 238])
        colours = (soot + hot[:, None] * (flame - soot)).astype(np.float32)
        layer = np.zeros((4, height, width), np.float32)  # red, green, blue (weighted by opacity), opacity
        corners = []
        for i in range(len(puffs)):
            side = max(4, 4 * round(float(radius[i]) / 2))  # in steps of 4 pixels, so that sprites serve again
            left, top = (int(centre) - side // 2 for centre in spots[i])
            x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
            if x0 >= x1 or y0 >= y1:
                continue
            sprite = self._sprite(int(puffs["texture"][i]), side)
            cover, relief = sprite[:, y0 - top : y1 - top, x0 - left : x1 - left]
            cover = cover * opacity[i]
            lit = cover * (1 + relief * (1 - 0.45 * hot[i]))
            patch = layer[:, y0:y1, x0:x1]
            patch *= 1 - cover
            for channel in range(3):
                patch[channel] += lit * colours[i, channel]
            patch[3] += cover
            corners.append((x0, y0, x1, y1))
        if corners:
            x0, y0, x1, y1 = (*np.min(corners, axis=0)[:2].tolist(), *np.max(corners, axis=0)[2:].tolist())
            self._lay(canvas, layer[:, y0:y1, x0:x1], x0, y0)

    def _lay(self, canvas: Image.Image, layer: np.ndarray, left: int, top: int) -> None:
        size = (layer.shape[2] * SUPERSAMPLE, layer.shape[1] * SUPERSAMPLE)
        colour = np.minimum(255, layer[:3] / np.maximum(layer[3], 1e-3))
        planes = [Image.fromarray(plane.astype(np.uint8)) for plane in (*colour, 255 * layer[3])]
        red, green, blue, cover = (plane.resize(size, Image.Resampling.BILINEAR) for plane in planes)
        canvas.paste(Image.merge("RGB", (red, green, blue)), (left * SUPERSAMPLE, top * SUPERSAMPLE), cover)

    def _sprite(self, texture: int, side: int) -> np.ndarray:
        if (texture, side) not in self.sprites:
            planes = [Image.fromarray(plane) for plane in self.textures[texture]]
            resized = [plane.resize((side, side), Image.Resampling.BILINEAR) for plane in planes]
            self.sprites[texture, side] = np.stack(resized)
        return self.sprites[texture, side]
