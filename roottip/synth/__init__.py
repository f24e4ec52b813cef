"""Plates with known answers: grown by CPlantBox, photographed by our own renderer.

`growth` (the only importer of plantbox) → `plate` (all settings as plain numbers) → `roots`,
`shapes`, `clutter`, `ground` (drawing) → `truth` (tips, causes, distractors) → `render` (a picture
and what is known of it) → `dataset` (a folder of them).
"""
