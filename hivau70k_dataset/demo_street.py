"""The street itself: its painted background, and the scene that puts everything together frame by frame."""

import math

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from .demo_actors import make_prop, parked, pedestrians, traffic
from .demo_camera import (
    BAY_Z,
    FACADE_Z,
    FAR_KERB_Z,
    LANES,
    MARGIN_PX,
    MIDDLE_Z,
    NEAR_KERB_Z,
    PARKED_Z,
    SUPERSAMPLE,
    Camera,
    cloud,
    smooth,
)
from .demo_explosion import GLARE_COLOUR, LIGHT_COLOUR, Event, Explosion


SKY, HAZE = (196, 204, 212), (178, 186, 194)
WALLS = ((139, 96, 80), (160, 148, 130), (118, 122, 126), (150, 116, 92), (172, 164, 150), (126, 104, 96))
FASCIAS = ((60, 84, 92), (122, 58, 52), (74, 92, 70), (150, 118, 66), (66, 66, 84))


def _paint_ground(x: np.ndarray, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colours (N, 3) of ground points: asphalt, lane marks, kerbs and paving slabs."""
    grain = cloud(rng, 512, 7)[(x * 24).astype(int) % 512, (z * 24).astype(int) % 512]
    broad = cloud(rng, 512, 4)[(x * 9).astype(int) % 512, (z * 9).astype(int) % 512]
    lane = np.where(z < MIDDLE_Z, z - LANES[0][0], z - LANES[1][0])
    tracks = 5 * np.exp(-(((np.abs(lane) - 0.75) / 0.3) ** 2)) - 7 * np.exp(-((lane / 0.35) ** 2))
    colour = np.array([86.0, 88, 92]) + (3 * grain + 3.5 * broad + np.where(z < BAY_Z, tracks, -4))[:, None]
    marks = (np.abs(z - MIDDLE_Z) < 0.08) & (x % 6 < 2.6) | (np.abs(z - BAY_Z) < 0.06) & (x % 1.5 < 0.9)
    marks |= (np.abs(z - NEAR_KERB_Z - 0.35) < 0.06) | (z > BAY_Z) & (x % 6.2 < 0.12)
    colour[marks] = np.array([188.0, 186, 178]) + 5 * grain[marks, None]
    paving = (z < NEAR_KERB_Z) | (z > FAR_KERB_Z)
    slab = np.sin(np.floor(x / 0.9) * 12.99 + np.floor(z / 0.9) * 78.23) * 4
    joint = (x % 0.9 < 0.04) | (z % 0.9 < 0.04)
    shadow = 22 * smooth(z, FACADE_Z - 1.2, FACADE_Z)
    tone = (slab + 2 * grain + 3 * broad - 14 * joint - shadow)[:, None]
    colour = np.where(paving[:, None], np.array([136.0, 132, 126]) + tone, colour)
    for kerb_z, face in ((NEAR_KERB_Z, 1), (FAR_KERB_Z, -1)):
        colour[np.abs(z - kerb_z) < 0.13] = (164, 161, 155)
        colour[np.abs(z - kerb_z - face * 0.19) < 0.06] = (62, 62, 64)
    return colour


def _paint_houses(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A row of houses: colours (N, 3) of points on their fronts, the houses' left edges and their heights."""
    width = rng.uniform(6.5, 10.5, 24)
    left = np.cumsum(width) - width - 20.0
    height = 4.4 + 2.9 * rng.permutation(np.arange(len(left)) % 2 + 1) + rng.uniform(0, 0.4, len(left))
    walls = np.array([WALLS[(2 * i + int(rng.integers(2))) % len(WALLS)] for i in range(len(left))], float)
    house = np.clip(np.searchsorted(left, x) - 1, 0, len(left) - 1)
    grain = cloud(rng, 512, 7)[(x * 30).astype(int) % 512, (y * 30).astype(int) % 512]
    colour = walls[house] * (1 + 0.03 * grain - 0.05 * (y % 0.24 < 0.05))[:, None]
    pitch = (width / np.round(width / 2.1))[house]
    column, u = np.divmod(x - left[house], pitch)
    storey, v = np.divmod(y - 3.7, 2.9)
    u = np.abs(u - 0.5 * pitch)
    upper = (y > 3.7) & (storey < np.round((height[house] - 4.4) / 2.9))
    window = upper & (u < 0.55) & (v > 0.55) & (v < 2.3)
    colour[upper & (u < 0.68) & (v > 0.42) & (v < 2.42)] *= 1.18
    colour[upper & (u < 0.75) & (v > 0.4) & (v < 0.55)] = (176, 172, 164)
    lit = np.sin(house * 37.7 + column * 91.3 + storey * 17.1 + left[3]) > 0.8
    glass = np.array([66.0, 78, 90]) + (30 * smooth(v - u, 0.7, 1.6))[:, None]
    colour[window] = np.where(lit[:, None], np.array([188.0, 164, 124]) - 30 * u[:, None], glass)[window]
    colour[window & ((u < 0.04) | (np.abs(v - 1.5) < 0.04))] = (190, 186, 178)
    shop = y < 3.5
    colour[shop] = _paint_shops(x[shop] - left[house[shop]], y[shop], house[shop], pitch[shop], rng)
    colour[(np.abs(y - 3.55) < 0.09) | (y > height[house] - 0.32)] = (180, 174, 164)
    colour[np.abs(y - height[house] + 0.42) < 0.1] *= 0.6
    colour[x - left[house] < 0.16] *= 0.62
    return colour, left, height


def _paint_shops(
    x: np.ndarray, y: np.ndarray, house: np.ndarray, pitch: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Colours (N, 3) of the ground floors; x in metres from the left edge of each house."""
    paint = np.array(FASCIAS, float)[rng.permutation(np.arange(house.max() + 1) % len(FASCIAS))[house]]
    warm = (rng.random(house.max() + 1) < 0.4)[house, None]
    panel, u = np.divmod(x, pitch)
    door = panel == house % 3
    colour = paint * 0.8
    pane = (u > 0.14) & (u < pitch - 0.14) & (y > np.where(door, 0.12, 0.6)) & (y < 2.5)
    pane &= ~door | (np.abs(u - pitch / 2) < 0.55)
    glass = np.array([52.0, 60, 68]) + (38 * smooth(y - np.abs(u - 1.2), 0.6, 2.2))[:, None]
    goods = 14 * ((x % 0.5 < 0.26) & (y < 1.3))
    inside = np.array([172.0, 152, 120]) - (46 * smooth(2.5 - y, 0.2, 1.9) + goods)[:, None]
    colour[pane] = np.where(warm & ~door[:, None], inside, glass)[pane]
    colour[y > 2.75] = paint[y > 2.75] * 1.1
    colour[np.abs(y - 2.7) < 0.07] *= 0.6
    sign = (y > 2.96) & (y < 3.26) & (x > 1.5) & (x < 4.2) & (np.sin(x * 19 + house) > -0.3)
    colour[sign] = (206, 200, 186)
    return colour


def _paint_street(camera: Camera, rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
    """The empty street, and the world point (height, width, 3) in metres that each pixel shows."""
    rays = camera.rays()
    to_front = (FACADE_Z - camera.position[2]) / rays[..., 2]
    to_ground = np.where(rays[..., 1] < 0, -camera.position[1] / np.minimum(rays[..., 1], -1e-6), np.inf)
    distance = np.minimum(to_front, to_ground)
    world = camera.position + rays * distance[..., None]
    x, y, z = np.moveaxis(world, -1, 0)
    ground = to_ground < to_front
    row, column = np.ogrid[: camera.height, : camera.width]
    clouds = cloud(rng, 512, 5)[row * 512 // camera.height, column * 512 // camera.width]
    colour = np.array(SKY) + (7 * clouds - 14 * smooth(rays[..., 1], 0.05, 0.3))[..., None]
    colour[ground] = _paint_ground(x[ground], z[ground], rng)
    front, left, height = _paint_houses(x[~ground], y[~ground], rng)
    standing = ~ground & (y < height[np.clip(np.searchsorted(left, x) - 1, 0, len(left) - 1)])
    sky = ~ground & ~standing
    for edge, top in zip(left[::-1], height[::-1]):  # gable ends that rise over a lower neighbour, far ones first
        hit = camera.position + rays * ((edge - camera.position[0]) / np.maximum(rays[..., 0], 1e-3))[..., None]
        colour[sky & (x < edge) & (hit[..., 1] < top) & (np.abs(hit[..., 2] - FACADE_Z - 5) < 5)] = (112, 104, 98)
    colour[standing] = front[standing[~ground]]
    haze = 1 - np.exp(-np.where(sky, 0, distance) / 260)
    colour += (np.array(HAZE) - colour) * haze[..., None]
    return Image.fromarray(np.clip(colour, 0, 255).astype(np.uint8)), world


class StreetScene:
    """A fixed camera over a street with people and cars, and at most one explosion."""

    def __init__(self, width: int, height: int, duration_s: float, event: Event | None, rng: np.random.Generator):
        self.size, self.camera = (width, height), Camera(width, height)
        self.background, world = _paint_street(self.camera, rng)
        spots = [("tree", x, 15.6) for x in (1.5, 18.5, 33.0, 47.0)]
        spots += [("lamp", 9.0, 15.3), ("lamp", 26.0, 15.3), ("lamp", 16.5, 4.8)]
        self.props = [make_prop(self.camera, kind, x + rng.uniform(-0.8, 0.8), z, rng) for kind, x, z in spots]
        start_s = event.start_s if event else math.inf
        blast_x = float(rng.uniform(10.5, 12.5))
        self.actors = [*parked(blast_x, start_s, rng), *traffic(blast_x, start_s, duration_s, rng)]
        self.actors += pedestrians(blast_x, start_s, duration_s, rng)
        self.sway = rng.uniform(0, 2 * math.pi, 4)
        self.noise = [self._grain(rng) for _ in range(8)]
        self.explosion = None
        if event:
            place = np.array([blast_x, 0.0, PARKED_Z])
            self.explosion = Explosion(event, duration_s, place, self.camera, rng)
            self._light_up(world, place)

    def _grain(self, rng: np.random.Generator) -> Image.Image:
        width, height = self.size
        grain = rng.normal(128.5, 2.2, (height, width, 1)) + rng.normal(0, 0.7, (height, width, 3))
        return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))

    def _light_up(self, world: np.ndarray, place: np.ndarray) -> None:
        """How much of the fire's light each output pixel gets: by distance on the street, and as glare around it."""
        step = slice(MARGIN_PX, -MARGIN_PX, SUPERSAMPLE)
        gap = ((world[step, step] - place - (0, 1.2, 0)) ** 2).sum(axis=-1, keepdims=True)
        self.lighting = (LIGHT_COLOUR * 30 / (30 + gap)).astype(np.float32)
        column, row, _ = (self.camera.project(place[None] + (0, 1.5, 0))[0] - MARGIN_PX) / SUPERSAMPLE
        y, x = np.mgrid[: self.size[1], : self.size[0]].astype(np.float32)
        glare = np.exp(-np.hypot(x - column, y - row) / (0.11 * self.size[0]))
        self.glare = (GLARE_COLOUR * glare[..., None]).astype(np.float32)

    def frame(self, index: int, time_s: float) -> np.ndarray:
        """The picture (height, width, 3) that the camera delivers at `time_s`."""
        canvas = self.background.copy()
        draw = ImageDraw.Draw(canvas, "RGBA")
        blast = self.explosion if self.explosion and time_s >= self.explosion.event.start_s else None
        layers = [(prop.depth_m, prop.draw, (canvas,)) for prop in self.props]
        if blast:
            blast.draw_ground(draw)
            depth_m = float(self.camera.project(blast.centre[None])[0, 2])
            # in front of the wreck, behind the passing cars
            layers.append((depth_m - 1.2, blast.draw_puffs, (canvas, time_s)))
            layers.append((depth_m - 1.1, blast.draw_debris, (draw, time_s)))
        places = self.camera.project(np.array([actor.place(time_s) for actor in self.actors]))
        for actor, (column, _, depth_m) in zip(self.actors, places.tolist()):
            reach = 3 * self.camera.focal_px / max(depth_m, 1.0)  # nothing sticks out more than 3 m from its place
            if depth_m > 3 and -reach < column < self.camera.width + reach:
                outline = self.camera.project(actor.shadow(time_s))[:, :2]
                draw.polygon(outline.ravel().tolist(), fill=(16, 18, 24, 90))
                layers.append((depth_m, actor.draw, (draw, self.camera, time_s)))
        for _, paint, arguments in sorted(layers, key=lambda layer: -layer[0]):
            paint(*arguments)
        noise = self.noise[(index * 5 + index // 8) % 8]
        return np.asarray(ImageChops.add(self._expose(canvas, blast, time_s), noise, 1, -128))

    def _expose(self, canvas: Image.Image, blast: Explosion | None, time_s: float) -> Image.Image:
        """Average down to the output size through a slightly shaking camera, and add the light of the fire."""
        beats = np.sin(np.array([3.1, 7.3, 2.7, 8.9]) * time_s + self.sway)
        swing = 0.35 * np.array([beats[0] + beats[1], beats[2] + beats[3]])
        if blast:
            age_s = time_s - blast.event.start_s
            swing += 5.5 * math.exp(-age_s / 0.3) * np.array([math.sin(50 * age_s), math.cos(43 * age_s)])
        left, top = (MARGIN_PX + swing).clip(0, 2 * MARGIN_PX)
        box = (left, top, left + self.size[0] * SUPERSAMPLE, top + self.size[1] * SUPERSAMPLE)
        image = canvas.resize(self.size, Image.Resampling.BOX, box)
        if not blast:
            return image
        light = np.float32(blast.brightness(time_s))
        pixels = self.lighting * light
        pixels += 1
        pixels *= np.asarray(image)
        pixels += self.glare * min(light, np.float32(3))
        if light > 0.6:  # what overflows one colour spills into the others: the core of the flash turns white
            spill = np.maximum(pixels - 255, 0)
            pixels += 0.3 * (spill[..., 0] + spill[..., 1] + spill[..., 2])[..., None]
        return Image.fromarray(np.minimum(pixels, 255).astype(np.uint8))
