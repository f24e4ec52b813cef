"""Plates with known answers: grown by CPlantBox, photographed by our own renderer.

`growth` (the only importer of plantbox) → `plate` (all settings as plain numbers) →
`roots`, `ground` (drawing) → `render` (one picture) → `truth` (tips, causes, distractors) →
`dataset` (a folder of them).
"""
