"""Small files as each program writes them, written by hand."""

from __future__ import annotations

import struct

# Files as each program writes them. In all of them two points are marked on an image of 40 x 20
# px: on the CENTRE of the pixel in column 10, row 4, and on the image's top-left CORNER.
COCO = """{"info": {}, "licenses": [], "images": [
 {"id": 7, "file_name": "p.png", "width": 40, "height": 20, "license": 1}],
 "annotations": [
 {"id": 1, "image_id": 7, "category_id": 1, "keypoints": [10, 4, 2, 0, 0, 0], "num_keypoints": 1,
  "bbox": [10, 4, 1, 1], "area": 1, "iscrowd": 0},
 {"id": 2, "image_id": 7, "category_id": 1, "keypoints": [-0.5, -0.5, 1, 0, 0, 0],
  "num_keypoints": 1, "bbox": [0, 0, 1, 1], "area": 1, "iscrowd": 0}],
 "categories": [{"id": 1, "name": "root", "keypoints": ["tip", "base"], "skeleton": []}]}"""
LABEL_STUDIO = """[{"id": 3, "data": {"image": "/data/upload/1/0a1b2c3d-p.png"}, "predictions": [],
 "annotations": [{"id": 1, "was_cancelled": false, "result": [
 {"original_width": 40, "original_height": 20, "image_rotation": 0, "id": "a", "type":
  "keypointlabels", "from_name": "kp", "to_name": "img", "origin": "manual",
  "value": {"x": 26.25, "y": 22.5, "width": 0.5, "keypointlabels": ["tip"]}},
 {"original_width": 40, "original_height": 20, "image_rotation": 0, "id": "b", "type":
  "keypointlabels", "from_name": "kp", "to_name": "img", "origin": "manual",
  "value": {"x": 0, "y": 0, "width": 0.5, "keypointlabels": ["Ignore"]}}]}]}]"""
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>1</id><mode>annotation</mode></task></meta>
<image id="0" name="p.png" width="40" height="20">
<points label="tip" source="manual" occluded="0" points="10.50,4.50" z_order="0"></points>
<points label="tip" source="manual" occluded="1" points="0.00,0.00" z_order="0"></points>
</image></annotations>"""
YOLO = "0 0.2625 0.225 0.1 0.2 0.2625 0.225 2\n0 0.05 0.1 0.1 0.2 0 0 1\n"
NAPARI = "index,axis-0,axis-1,label\n0.0,4.0,10.0,tip\n1.0,-0.5,-0.5,ignore\n"


def roi(xy, name=b""):
    """A point selection as ImageJ's RoiDecoder documents it: header, shorts, then floats."""
    n = len(xy)
    whole = [(int(x), int(y)) for x, y in xy]
    left, top = (min(p[k] for p in whole) for k in (0, 1))
    head = struct.pack(">4shBx4hH", b"Iout", 228, 10, top, left, top + 1, left + 1, n)
    head += bytes(16) + struct.pack(">hihiihhbbhii", 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 0, 0)[:28]
    head = head.ljust(64, b"\0")
    head = head[:50] + struct.pack(">h", 128) + head[52:]  # SUB_PIXEL_RESOLUTION
    shorts = b"".join(struct.pack(">h", p[k] - (left, top)[k]) for k in (0, 1) for p in whole)
    floats = b"".join(struct.pack(">f", p[k]) for k in (0, 1) for p in xy)
    return head + shorts + floats
