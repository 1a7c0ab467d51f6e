"""What is true of a scene, told in the vocabulary of slots.

Directions are those of the picture: seen by the camera as it stands at the start. A slot that does not apply is None
(the speed of a body that lies still, the camera speed of a still camera, waves on dry ground).
"""

from __future__ import annotations

import math
from dataclasses import replace

from kinora.core.slots import TETHERED, AnimalSlots, BodySlots, FigureSlots, SceneSlots
from kinora.world.cameras import start_pose
from kinora.world.motion import heading_vector
from kinora.world.scene import HANDLED, Animal, Body, CameraPath, Figure, Scene
from kinora.world.trajectories import trajectories

__all__ = ["FAST", "MOVING", "animal_slots", "body_slots", "direction_of", "figure_slots", "scene_slots"]

FAST = 0.7
"""Metres a second along the ground from which a body counts as fast; sampled speeds keep far from it."""
MOVING = 0.1
"""Metres a second along the ground under which a body has no direction."""
WALKING = ("walk", "carry", "push")
"""What figures do on their way somewhere."""


def scene_slots(scene: Scene) -> SceneSlots:
    """Every slot of the scene. A collision counts only when it happens, so the bodies are simulated once."""
    camera = scene.camera
    return SceneSlots(
        bodies=tuple(body_slots(body, camera) for body in scene.bodies),
        figures=tuple(figure_slots(figure, camera) for figure in scene.figures),
        animals=tuple(animal_slots(animal, camera) for animal in scene.animals),
        ground=scene.place.ground,
        sky=scene.place.sky,
        camera=camera.kind,
        camera_speed=None if camera.kind == "still" else camera.speed,
        backdrop=scene.panels[0].picture.kind if scene.panels else "none",
        event="collision" if len(scene.bodies) > 1 and trajectories(scene).met else "none",
        weather=scene.place.weather,
        waves=scene.place.waves if scene.place.ground == "water" else None,
        rope=_rope_slot(scene),
        shot=camera.shot,
    )


def _rope_slot(scene: Scene) -> str:
    """Whether a rope hangs, swings or is not there."""
    if not scene.ropes:
        return "none"
    return "swing" if any(rope.angle != 0 for rope in scene.ropes) else "hang"


def direction_of(across: float, along: float, camera: CameraPath) -> str:
    """The value of `direction` for a level motion (world x, y) seen from the start of the camera path."""
    pose_34 = start_pose(camera)
    ahead_x, ahead_y = float(pose_34[0, 2]), float(pose_34[1, 2])
    scale = math.hypot(ahead_x, ahead_y)
    rightward = (across * ahead_y - along * ahead_x) / scale
    forward = (across * ahead_x + along * ahead_y) / scale
    if math.hypot(rightward, forward) < MOVING:
        return "none"
    if abs(rightward) >= abs(forward):
        return "right" if rightward > 0 else "left"
    return "away" if forward > 0 else "toward"


def body_slots(body: Body, camera: CameraPath) -> BodySlots:
    """Every slot of one body; what a figure does with it is the figure's doing."""
    looks = BodySlots(colour=body.colour, shape=body.shape, size=body.size, material=body.material)
    if body.action in HANDLED:
        return looks
    if body.action in TETHERED:
        return replace(looks, action=body.action, direction="none")
    speed = math.hypot(body.velocity[0], body.velocity[1])
    paced = body.action in ("roll", "slide", "float") and speed >= MOVING
    return replace(
        looks,
        action=body.action,
        direction=direction_of(body.velocity[0], body.velocity[1], camera),
        speed=("fast" if speed >= FAST else "slow") if paced else None,
    )


def figure_slots(figure: Figure, camera: CameraPath) -> FigureSlots:
    """Every slot of one figure."""
    identity = figure.identity
    return FigureSlots(
        hair=identity.hair,
        clothes=identity.clothes,
        action=figure.action,
        direction=_heading_direction(figure.heading, figure.action in WALKING, camera),
        hat=identity.hat,
        glasses="yes" if identity.glasses else "no",
        expression=figure.expression,
    )


def animal_slots(animal: Animal, camera: CameraPath) -> AnimalSlots:
    """Every slot of one animal."""
    direction = _heading_direction(animal.heading, animal.action == "walk", camera)
    return AnimalSlots(colour=animal.colour, action=animal.action, direction=direction)


def _heading_direction(heading: float, walking: bool, camera: CameraPath) -> str:
    across, along, _ = heading_vector(heading) if walking else (0.0, 0.0, 0.0)
    return direction_of(across, along, camera)
