"""What stands and moves on the synthetic street: trees and lamp posts, people, vehicles."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .demo_camera import LANES, MIDDLE_Z, PARKED_Z, Camera, Draw


RGB = tuple[int, int, int]

CRUISE_MPS, BRAKE_MPS2 = 8.5, 4.5

PAINTS = ((168, 172, 176), (52, 56, 64), (142, 46, 42), (58, 86, 124), (206, 204, 198), (94, 108, 92), (176, 140, 78))
COATS = ((150, 60, 54), (58, 84, 120), (196, 178, 140), (62, 66, 72), (92, 116, 88), (204, 204, 206), (206, 150, 64))
TROUSERS = ((46, 52, 70), (40, 40, 44), (92, 84, 74), (66, 74, 92))
SKINS = ((226, 184, 154), (196, 148, 116), (134, 94, 70), (96, 66, 50))
HAIRS = ((40, 32, 28), (74, 52, 36), (120, 92, 58), (90, 88, 86))


def _shade(colour: RGB, factor: float) -> RGB:
    red, green, blue = (min(255, int(channel * factor)) for channel in colour)
    return red, green, blue


def _pick(rng: np.random.Generator, palette: tuple[RGB, ...]) -> RGB:
    return palette[int(rng.integers(len(palette)))]


@dataclass(frozen=True)
class Prop:
    """A tree or a lamp post: it never moves, so it is drawn once."""

    depth_m: float
    image: Image.Image
    corner: tuple[int, int]

    def draw(self, canvas: Image.Image) -> None:
        canvas.paste(self.image, self.corner, self.image)


def make_prop(camera: Camera, kind: str, x: float, z: float, rng: np.random.Generator) -> Prop:
    sheet = Image.new("RGBA", (camera.width, camera.height))
    if kind == "tree":
        _draw_tree(ImageDraw.Draw(sheet), camera, x, z, rng)
    else:
        _draw_lamp(ImageDraw.Draw(sheet), camera, x, z)
    box = sheet.getbbox() or (0, 0, 1, 1)  # out of sight: one clear pixel
    return Prop(float(camera.project(np.array([[x, 0, z]]))[0, 2]), sheet.crop(box), box[:2])


def _draw_tree(draw: Draw, camera: Camera, x: float, z: float, rng: np.random.Generator) -> None:
    *points, depth = camera.project(np.array([(x, 0, z), (x, 2.4, z), (x - 0.7, 3.6, z), (x + 0.6, 3.7, z)])).T
    root, fork, left, right = np.stack(points, axis=1)
    metre = camera.focal_px / depth[0]
    _limb(draw, root, fork, 0.30 * metre, 0.20 * metre, (74, 64, 54))
    _limb(draw, fork, left, 0.16 * metre, 0.08 * metre, (74, 64, 54))
    _limb(draw, fork, right, 0.16 * metre, 0.08 * metre, (70, 60, 50))
    leaves = rng.normal(0.0, 0.42, (420, 3)).clip(-0.95, 0.95) * (1.5, 1.25, 1.5)
    light = 0.95 + leaves @ (-0.1, 0.22, 0.0) + rng.normal(0, 0.1, len(leaves))
    spots = camera.project(leaves + (x, 4.1, z))
    for i in np.argsort(light + rng.normal(0, 0.12, len(leaves))):
        (column, row, _), radius = spots[i].tolist(), metre * rng.uniform(0.1, 0.26)
        box = (column - radius, row - radius, column + radius, row + 0.8 * radius)
        draw.ellipse(box, fill=_shade((84, 100, 66), float(light[i])))


def _draw_lamp(draw: Draw, camera: Camera, x: float, z: float) -> None:
    arm_m = 1.3 if z < MIDDLE_Z else -1.3  # it reaches over the road
    spine = np.array([(x, 0, z), (x, 0.9, z), (x, 5.6, z), (x, 6.0, z + 0.35 * arm_m), (x, 6.1, z + arm_m)])
    points = camera.project(spine)
    metre = camera.focal_px / points[0, 2]
    for start, end, width_m in zip(points, points[1:], (0.2, 0.13, 0.09, 0.08)):
        _limb(draw, start[:2], end[:2], width_m * metre, width_m * metre, (70, 74, 78))
    _limb(draw, points[-1, :2], points[-1, :2] + (0.25 * metre, 0), 0.12 * metre, 0.1 * metre, (208, 206, 196))


def _limb(draw: Draw, start: np.ndarray, end: np.ndarray, width0: float, width1: float, colour: RGB) -> None:
    """A rounded stroke from `start` to `end` (pixels) whose width goes from `width0` to `width1`."""
    (x0, y0), (x1, y1) = start.tolist(), end.tolist()
    r0, r1, length = width0 / 2, width1 / 2, math.hypot(x1 - x0, y1 - y0)
    if length < 0.5:
        draw.ellipse((x0 - r0, y0 - r0, x0 + r0, y0 + r0), fill=colour)
        return
    ax, ay = (x1 - x0) / length, (y1 - y0) / length  # the unit vector along; (-ay, ax) is the one across
    outline = []
    for x, y, r, share in ((x0, y0, r0, -0.7), (x1, y1, r1, 0.7)):  # half an octagon at each end
        side = (-1, -0.7, 0.7, 1) if share < 0 else (1, 0.7, -0.7, -1)
        for across, along in zip(side, (0, share, share, 0)):
            outline += [x + r * (along * ax - across * ay), y + r * (along * ay + across * ax)]
    draw.polygon(outline, fill=colour)


def _pose(speed_mps: float, phase: float, fright: float) -> np.ndarray:
    """Joints (18, 3) of a walking, running or (`fright` towards 1) cowering body of height 1: forward, up, sideways.

    Head, face, neck, pelvis; then shoulder, elbow, hand, hip, knee, ankle, toe of one side and of the other.
    """
    swing, bend, elbow, lean = (
        np.interp(speed_mps, (0.0, 1.3, 4.5), values)
        for values in ((0.03, 0.42, 0.8), (0.03, 0.75, 1.7), (0.15, 0.35, 1.6), (0.0, 0.03, 0.22))
    )
    elbow, lean = elbow + 2.0 * fright, lean + 0.3 * fright
    limbs, reach = [], []
    for sign in (1.0, -1.0):
        thigh = swing * sign * math.sin(phase) + 0.4 * lean + 0.3 * fright
        shin = thigh - bend * max(0.0, sign * math.cos(phase + 0.5)) - 0.06 - 0.8 * fright
        arm = 0.6 * fright - 0.9 * swing * sign * math.sin(phase)
        knee = 0.25 * np.array([math.sin(thigh), -math.cos(thigh), 0.0])
        ankle = knee + 0.24 * np.array([math.sin(shin), -math.cos(shin), 0.0])
        toe = ankle + 0.085 * np.array([math.cos(shin * 0.7), math.sin(shin * 0.7) - 0.2, 0.0])
        bent = 0.18 * np.array([math.sin(arm), -math.cos(arm), 0.0])
        hand = bent + 0.17 * np.array([math.sin(arm + elbow), -math.cos(arm + elbow), 0.0])
        shoulder, hip = (0.8 * 0.36 * math.sin(lean), 0.29, 0.105 * sign), (0.0, 0.0, 0.05 * sign)
        limbs += [shoulder, shoulder + bent, shoulder + hand, hip, hip + knee, hip + ankle, hip + toe]
        reach.append(-ankle[1])
    spine = np.array([math.sin(lean), math.cos(lean), 0.0])
    trunk = [0.42 * spine, 0.42 * spine + (0.03, -0.012, 0), 0.32 * spine, (0, 0, 0)]
    return np.array([*trunk, *limbs]) + (0.0, max(reach) + 0.025, 0.0)


@dataclass(frozen=True)
class Person:
    """Someone who walks along a pavement and, if startled, stops short and then runs away."""

    x_m: float  # at the start of the video
    z_m: float
    walk_mps: float  # signed, along x
    height_m: float
    colours: tuple[RGB, RGB, RGB, RGB]  # coat, trousers, skin, hair
    startle_s: float
    react_s: float  # from the fright to the first step
    flee_mps: float  # signed, along x

    def motion(self, time_s: float) -> tuple[float, float, float, float]:
        """Place along x in metres, speed in m/s, heading in radians (0 along x) and phase of the step in radians."""
        calm_s = min(time_s, self.startle_s)
        run_s = max(0.0, time_s - self.startle_s - self.react_s)
        ran_s = run_s - 0.3 if run_s > 0.6 else run_s * run_s / 1.2  # it takes 0.6 s to come up to speed
        x = self.x_m + self.walk_mps * calm_s + self.flee_mps * ran_s
        steps = abs(self.walk_mps) * calm_s / 1.4 + abs(self.flee_mps) * ran_s / 2.7  # metres per double step
        heading = math.pi if self.walk_mps < 0 else 0.0
        speed = abs(self.walk_mps)
        if time_s > self.startle_s:
            turned = min(1.0, max(0.0, (time_s - self.startle_s - self.react_s) / 0.3 + 1))
            heading += ((math.pi if self.flee_mps < 0 else 0.0) - heading) * turned
            speed = abs(self.flee_mps) * min(1.0, run_s / 0.6)
        return x, speed, heading, 2 * math.pi * steps + 7 * self.z_m

    def place(self, time_s: float) -> np.ndarray:
        return np.array([self.motion(time_s)[0], 0.0, self.z_m])

    def shadow(self, time_s: float) -> np.ndarray:
        turn = np.linspace(0, 2 * math.pi, 12, endpoint=False)
        return self.place(time_s) + np.stack([0.42 * np.cos(turn) + 0.15, 0 * turn, 0.2 * np.sin(turn)], axis=1)

    def draw(self, draw: Draw, camera: Camera, time_s: float) -> None:
        """Draw the person as it stands, walks or runs at `time_s` seconds."""
        x, speed, heading, phase = self.motion(time_s)
        fright = min(1.0, max(0.0, (time_s - self.startle_s) / 0.12)) * max(0.0, 1 - speed / 2)
        ahead, up, aside = (_pose(speed, phase, fright) * self.height_m).T
        cosine, sine = math.cos(heading), math.sin(heading)
        world = np.stack([x + ahead * cosine - aside * sine, up, self.z_m + ahead * sine + aside * cosine], axis=1)
        points = camera.project(world)
        size = camera.focal_px / points[3, 2] * self.height_m
        far = 4 if points[4, 2] > points[11, 2] else 11  # where the joints of the side away from the camera begin
        self._draw_leg(draw, points[far + 3 : far + 7, :2], size, 0.75)
        self._draw_arm(draw, points[far : far + 3, :2], size, 0.75)
        self._draw_leg(draw, points[18 - far : 22 - far, :2], size, 1.0)
        self._draw_trunk(draw, points[:, :2], size)
        self._draw_arm(draw, points[15 - far : 18 - far, :2], size, 1.1)

    def _draw_leg(self, draw: Draw, points: np.ndarray, size: float, tone: float) -> None:
        (hip, knee, ankle, toe), colour = points, _shade(self.colours[1], tone)
        _limb(draw, ankle, toe, 0.045 * size, 0.035 * size, (44, 40, 40))
        _limb(draw, knee, ankle, 0.065 * size, 0.045 * size, colour)
        _limb(draw, hip, knee, 0.09 * size, 0.07 * size, colour)

    def _draw_arm(self, draw: Draw, points: np.ndarray, size: float, tone: float) -> None:
        (shoulder, elbow, hand), colour = points, _shade(self.colours[0], tone)
        _limb(draw, shoulder, elbow, 0.06 * size, 0.05 * size, colour)
        _limb(draw, elbow, hand, 0.045 * size, 0.035 * size, colour)
        _limb(draw, hand, hand, 0.04 * size, 0.04 * size, _shade(self.colours[2], tone))

    def _draw_trunk(self, draw: Draw, points: np.ndarray, size: float) -> None:
        coat, _, skin, hair = self.colours
        head, face, neck, pelvis = points[:4]
        chest, hips = (math.dist(points[4], points[11]), math.dist(points[7], points[14]))
        _limb(draw, head, neck, 0.05 * size, 0.06 * size, _shade(skin, 0.85))
        _limb(draw, neck + (0, 0.045 * size), pelvis, 0.09 * size + 0.75 * chest, 0.11 * size + 0.7 * hips, coat)
        _limb(draw, head, head, 0.125 * size, 0.125 * size, hair)
        _limb(draw, face, face, 0.1 * size, 0.1 * size, skin)


# In metres: half length; heights of bonnet, belt and roof; the cabin's four corners along x; half width.
SALOON = (2.25, 0.80, 0.93, 1.43, (-1.75, -1.05, 0.45, 1.20), 0.88)
HATCHBACK = (1.95, 0.82, 0.96, 1.50, (-1.88, -1.50, 0.35, 1.05), 0.86)
WAGON = (2.25, 0.98, 1.08, 1.72, (-2.15, -1.85, 0.40, 1.10), 0.93)
VAN = (2.60, 1.05, 1.20, 2.15, (-2.58, -2.54, 1.20, 2.00), 0.97)
SHAPES = (SALOON, HATCHBACK, WAGON, VAN)
TAIL_LIGHT, BRAKE_LIGHT = (140, 30, 28), (255, 72, 52)

Face = tuple[np.ndarray, RGB]


def _prism(profile: list[tuple[float, float, float]], paint: RGB) -> list[Face]:
    """Faces of a solid whose two sides are `profile` (x, y, half width), clockwise from the rear foot."""
    near, far = (np.array([(x, y, sign * half) for x, y, half in profile]) for sign in (-1, 1))
    faces = [(near, _shade(paint, 0.86)), (far[::-1], _shade(paint, 0.86))]
    for i in range(len(profile) - 1):
        quad = np.array([near[i], far[i], far[i + 1], near[i + 1]])
        flat = abs(quad[2, 0] - quad[1, 0]) / (1e-6 + math.dist(quad[1, :2], quad[2, :2]))
        faces.append((quad, _shade(paint, 0.9 + 0.24 * flat)))
    return faces


def _inset(quad: np.ndarray, along: tuple[float, float], across: tuple[float, float]) -> np.ndarray:
    """The part of a four-cornered face between two fractions of its first edge and two of the edge that follows."""
    a, b, c, d = quad
    (u0, u1), (v0, v1) = along, across
    fractions = np.array([(u0, v0), (u1, v0), (u1, v1), (u0, v1)])
    u, v = fractions[:, :1], fractions[:, 1:]
    return (1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * d + u * c)


def _disc(x: float, y: float, z: float, radius: float) -> np.ndarray:
    turn = np.linspace(0, -2 * math.pi, 14, endpoint=False) * (1 if z < 0 else -1)
    return np.stack([x + radius * np.cos(turn), np.maximum(0.02, y + radius * np.sin(turn)), z + 0 * turn], axis=1)


def _vehicle_faces(shape: tuple, paint: RGB) -> list[Face]:
    """A vehicle that points along x, standing on the origin: faces in drawing order, clockwise when they face us."""
    length, hood, belt, roof, cabin, half = shape
    profile = [(-length, 0.25), (-length, belt - 0.12), (-length + 0.1, belt), (cabin[3], belt)]
    profile += [(length - 0.15, hood), (length, hood - 0.15), (length, 0.25)]
    faces = _prism([(x, y, half) for x, y in profile], paint)
    rear, front = faces[2][0], faces[-1][0]
    for z in (-half - 0.01, half + 0.01):
        for x0, x1, y0, y1 in ((-length, length, 0.25, 0.36), (-0.8, -0.77, 0.36, belt), (0.25, 0.28, 0.36, belt)):
            strip = np.array([(x0, y0, z), (x0, y1, z), (x1, y1, z), (x1, y0, z)])  # sill, gaps of the doors
            faces.append((strip if z < 0 else strip[::-1], _shade(paint, 0.5)))
        for x in (0.62 - length, length - 0.85):
            for radius, colour in ((0.4, (24, 24, 26)), (0.33, (38, 38, 40)), (0.2, (136, 138, 142))):
                faces.append((_disc(x, 0.33, z, radius), colour))
    for side in ((0.04, 0.22), (0.78, 0.96)):
        faces.append((_inset(rear, side, (0.5, 0.95)), TAIL_LIGHT))
        faces.append((_inset(front, side, (0.08, 0.5)), (232, 230, 214)))
    faces.append((_inset(front, (0.3, 0.7), (0.15, 0.7)), (40, 42, 46)))
    faces += [(_inset(end, (0.38, 0.62), (0.35, 0.55)), (206, 204, 184)) for end in (rear, front)]
    top = [(cabin[0], belt, half - 0.03), (cabin[1], roof, half - 0.17)]
    top = _prism([*top, (cabin[2], roof, half - 0.17), (cabin[3], belt, half - 0.03)], paint)
    faces += top
    faces.append((_inset(top[2][0], (0.08, 0.92), (0.06, 0.94)), (50, 58, 66)))
    faces.append((_inset(top[4][0], (0.06, 0.94), (0.06, 0.94)), (86, 98, 110)))
    for start, end in ((0.76, 0.96),) if shape is VAN else ((0.06, 0.5), (0.54, 0.95)):
        faces.append((_inset(top[0][0], (0.1, 0.88), (start, end)), (50, 58, 66)))
        faces.append((_inset(top[1][0], (0.1, 0.88), (1 - end, 1 - start)), (50, 58, 66)))
    return faces


@dataclass(frozen=True)
class Vehicle:
    """A car that drives, brakes to a halt at some moment, or stands parked and burns out."""

    x_m: float  # of its middle, at the start of the video
    z_m: float
    velocity_mps: float  # signed, along x
    shape: tuple
    vertices: np.ndarray  # (N, 3), relative to its place
    faces: list[tuple[int, RGB]]  # each: how many of the next vertices, and their colour
    brake_s: float
    burn_s: float

    def place(self, time_s: float) -> np.ndarray:
        speed = abs(self.velocity_mps)
        braking_s = min(max(0.0, time_s - self.brake_s), speed / BRAKE_MPS2)
        travelled = speed * (min(time_s, self.brake_s) + braking_s) - BRAKE_MPS2 * braking_s**2 / 2
        return np.array([self.x_m + math.copysign(travelled, self.velocity_mps), 0.0, self.z_m])

    def shadow(self, time_s: float) -> np.ndarray:
        length, half = self.shape[0] + 0.1, self.shape[-1] + 0.15
        corners = ((-1, -0.8), (-0.9, -1), (0.9, -1), (1, -0.8), (1, 0.9), (0.9, 1), (-0.9, 1), (-1, 0.9))
        return self.place(time_s) + np.array([(length * x + 0.15, 0.0, half * z) for x, z in corners])

    def draw(self, draw: Draw, camera: Camera, time_s: float) -> None:
        """Draw the vehicle where it is at `time_s` seconds."""
        facing = math.copysign(1.0, self.velocity_mps)
        pixels = camera.project(self.place(time_s) + self.vertices * (facing, 1.0, facing))[:, :2].ravel().tolist()
        start = 0
        for count, colour in self.faces:
            outline = pixels[2 * start : 2 * (start + count)]
            start += count
            x0, y0, x1, y1, x2, y2 = outline[:6]
            if (x1 - x0) * (y2 - y0) <= (x2 - x0) * (y1 - y0):
                continue  # it faces away
            if colour == TAIL_LIGHT and time_s > self.brake_s:
                colour = BRAKE_LIGHT
            if time_s > self.burn_s:
                colour = _shade((30, 27, 25), 0.5 + sum(colour) / 400)
            draw.polygon(outline, fill=colour)


def _make_vehicle(
    x: float,
    z: float,
    velocity_mps: float,
    shape: tuple,
    paint: RGB,
    brake_s: float = math.inf,
    burn_s: float = math.inf,
) -> Vehicle:
    faces = _vehicle_faces(shape, paint)
    vertices = np.concatenate([corners for corners, _ in faces])
    counts = [(len(corners), colour) for corners, colour in faces]
    return Vehicle(x, z, velocity_mps, shape, vertices, counts, brake_s, burn_s)


def parked(blast_x: float, start_s: float, rng: np.random.Generator) -> Iterator[Vehicle]:
    """Cars in the bays of the far kerb; the one at `blast_x` burns out."""
    for slot in range(-2, 7):
        if slot == 0:
            yield _make_vehicle(blast_x, PARKED_Z, -0.0, SALOON, (122, 126, 132), burn_s=start_s + 0.1)
        elif rng.random() < 0.6:
            shape = SHAPES[int(rng.integers(len(SHAPES)))]
            yield _make_vehicle(blast_x + 6.2 * slot, PARKED_Z, -0.0, shape, _pick(rng, PAINTS))


def traffic(blast_x: float, start_s: float, duration_s: float, rng: np.random.Generator) -> Iterator[Vehicle]:
    """Two lanes at a steady pace; after the explosion whoever has not passed it stops in a queue before it."""
    stopping_m = CRUISE_MPS**2 / (2 * BRAKE_MPS2)
    for lane_z, direction in LANES:
        queued, passing_s = 0, -4.0
        while passing_s < duration_s + 8:
            passing_s += rng.uniform(1.9, 4.2)
            shape = SHAPES[int(rng.choice(len(SHAPES), p=(0.35, 0.3, 0.2, 0.15)))]
            paint = _pick(rng, PAINTS)
            x, velocity_mps = blast_x - direction * CRUISE_MPS * passing_s, direction * CRUISE_MPS
            brake_s = passing_s - (9.0 + 6.5 * queued + stopping_m) / CRUISE_MPS
            if passing_s < start_s - 0.4:
                yield _make_vehicle(x, lane_z, velocity_mps, shape, paint)
            elif brake_s > start_s + 0.4:  # nobody is on the stretch where it is too late to brake
                yield _make_vehicle(x, lane_z, velocity_mps, shape, paint, brake_s=brake_s)
                queued += 1


def pedestrians(blast_x: float, start_s: float, duration_s: float, rng: np.random.Generator) -> Iterator[Person]:
    """People on both pavements: each is placed where the explosion (or the end) finds them, and led back in time."""
    last_s = min(start_s, duration_s)
    reach_m = 1.5 * last_s  # how far anyone walks until then
    for low_z, high_z, spacing_m in ((15.9, 18.4, 2.7), (3.2, 4.7, 4.5)):
        for x in np.arange(-14.0 - reach_m, 56.0 + reach_m, spacing_m):
            x += float(rng.uniform(0, spacing_m))
            z, walk_mps = float(rng.uniform(low_z, high_z)), float(rng.choice((-1, 1)) * rng.uniform(1.0, 1.5))
            react_s, flee_mps = float(rng.uniform(0.3, 0.9)), float(rng.uniform(3.6, 5.2))
            height_m = float(rng.uniform(1.58, 1.88))
            colours = (_pick(rng, COATS), _pick(rng, TROUSERS), _pick(rng, SKINS), _pick(rng, HAIRS))
            if math.hypot(x - blast_x, z - PARKED_Z) < 5:
                continue  # nobody is hurt
            flee_mps = math.copysign(flee_mps, x - blast_x)
            yield Person(x - walk_mps * last_s, z, walk_mps, height_m, colours, start_s + 0.1, react_s, flee_mps)
