"""A small physical theatre with exact truth: scenes, physics, captions, pixels.

Each module is imported by its own name; nothing is gathered here, so that the package itself costs nothing.

| wish | module and name |
|---|---|
| a scene from a seed, or declared by hand | `sampler.sample_scene`, `scene.Scene` |
| its other hand | `mirror.mirror` |
| positions, velocities, camera poses, mouth shapes over time | `simulate.simulate` |
| pixels, object masks, depth | `render.render(..., truth=True)` |
| points followed through the film, and when they are seen | `tracks.tracks` |
| world points to pixels and back | `projection.project`, `projection.unproject` |
| what is true of it, in the words' names | `slots_of.scene_slots` |
| a sentence about it, Chinese or English | `captions.describe` |
"""
