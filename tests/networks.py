"""Small networks as ONNX files, written byte by byte: what OpenCV's learned features need, without anybody's weights.

The detector is no toy: Harris corners, and their surroundings projected on fixed random patterns. It finds real features, only none that
were learned. Fields are numbered as in onnx.proto3.
"""

from __future__ import annotations

import cv2
import numpy as np

FLOAT, INT64 = 1, 7
MOST = 400
"""Features that the detector finds."""


def varint(number):
    parts = bytearray()
    while True:
        number, low = number >> 7, number & 127
        parts.append(low | (128 if number else 0))
        if not number:
            return bytes(parts)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(name, values):
    values = np.asarray(values)
    kind, stored = (FLOAT, "<f4") if values.dtype.kind == "f" else (INT64, "<i8")
    sides = b"".join(field(1, side) for side in values.shape)
    return sides + field(2, kind) + field(8, name) + field(9, values.astype(stored).tobytes())


def attribute(name, value):
    if isinstance(value, int):
        return field(1, name) + field(3, value) + field(20, 2)
    return field(1, name) + b"".join(field(8, entry) for entry in value) + field(20, 7)


def port(name, kind, shape):
    sides = b"".join(field(1, field(1 if isinstance(side, int) else 2, side)) for side in shape)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, sides)))


class Graph:
    """Operations in the order they were added, and the constants they use."""

    def __init__(self):
        self.nodes, self.constants = b"", b""

    def add(self, operator, inputs, output, **attributes):
        outputs = [output] if isinstance(output, str) else output
        node = b"".join(field(1, name) for name in inputs) + b"".join(field(2, name) for name in outputs)
        node += field(3, outputs[0]) + field(4, operator) + b"".join(field(5, attribute(*item)) for item in attributes.items())
        self.nodes += field(1, node)

    def constant(self, name, values):
        self.constants += field(5, tensor(name, values))
        return name

    def file(self, inputs, outputs):
        ports = b"".join(field(11, port(*p)) for p in inputs) + b"".join(field(12, port(*p)) for p in outputs)
        graph = self.nodes + field(2, "graph") + self.constants + ports
        return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17))


def patterns(step):
    """128 smooth random patterns of 15 x 15 pixels, (128, 1, 15, 15), without a mean."""
    noise = np.random.default_rng(0).standard_normal((128, 15, 15)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(pattern, (0, 0), 1.5 if step < 8 else 1.0) for pattern in noise])
    return (smooth - smooth.mean(axis=(1, 2), keepdims=True))[:, None]


def detector(side, *, disk):
    """A detector with ALIKED's or DISK's inputs and outputs, as bytes of an ONNX file.

    ALIKED tells positions from -1 to 1 between the centres of the outermost pixels, DISK tells whole pixels and a batch of one.
    """
    graph, step = Graph(), 4
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
    window = cv2.getGaussianKernel(9, 2.0).astype(np.float32)
    graph.add("Conv", ["image", graph.constant("weights", np.full((1, 3, 1, 1), 1 / 3, np.float32))], "gray")
    graph.add("Conv", ["gray", graph.constant("sobel", np.stack([sobel, sobel.T])[:, None])], "slopes", pads=[1] * 4)
    graph.add("Split", ["slopes"], ["dx", "dy"], axis=1, num_outputs=2)
    graph.constant("window", (window @ window.T)[None, None])
    for a, b in (("dx", "dx"), ("dy", "dy"), ("dx", "dy")):
        graph.add("Mul", [a, b], f"product {a}{b}")
        graph.add("Conv", [f"product {a}{b}", "window"], a + b, pads=[4] * 4)
    # Harris: determinant over trace of the structure tensor, kept where it is the largest around.
    graph.add("Mul", ["dxdx", "dydy"], "diagonal")
    graph.add("Mul", ["dxdy", "dxdy"], "mixed")
    graph.add("Sub", ["diagonal", "mixed"], "determinant")
    graph.add("Add", ["dxdx", "dydy"], "sum")
    graph.add("Add", ["sum", graph.constant("tiny", np.float32(1e-6))], "trace")
    graph.add("Div", ["determinant", "trace"], "corner")
    graph.add("MaxPool", ["corner"], "largest", kernel_shape=[9, 9], strides=[1, 1], pads=[4] * 4)
    graph.add("Sub", ["corner", "largest"], "below")
    graph.add("Sign", ["below"], "minus")
    graph.add("Add", ["minus", graph.constant("one", np.float32(1))], "peak")
    graph.add("Mul", ["corner", "peak"], "peaks")
    graph.add("Reshape", ["peaks", graph.constant("row", [1, -1])], "all")
    graph.add("TopK", ["all", graph.constant("most", [MOST])], ["batched scores", "batched index"], axis=1, largest=1, sorted=1)
    graph.add("Reshape", ["batched index", graph.constant("flat", [-1])], "index")
    graph.add("Div", ["index", graph.constant("side", [side])], "y")
    graph.add("Mul", ["y", "side"], "begin")
    graph.add("Sub", ["index", "begin"], "x")
    # Descriptors are computed at every fourth pixel, which is near enough.
    graph.add(
        "Conv", ["gray", graph.constant("patterns", patterns(step))], "projected", pads=[14] * 4, strides=[step] * 2, dilations=[2] * 2
    )
    graph.add("Reshape", ["projected", graph.constant("columns", [128, -1])], "by pattern")
    graph.add("Transpose", ["by pattern"], "by place", perm=[1, 0])
    graph.constant("step", [step])
    for axis in "xy":
        graph.add("Div", [axis, "step"], f"coarse {axis}")
        graph.add("Reshape", [axis, graph.constant(f"column {axis}", [-1, 1])], f"one {axis}")
    graph.add("Mul", ["coarse y", graph.constant("coarse side", [side // step])], "coarse begin")
    graph.add("Add", ["coarse begin", "coarse x"], "place")
    graph.add("Gather", ["by place", "place"], "described", axis=0)
    graph.add("Concat", ["one x", "one y"], "whole", axis=1)
    if disk:
        batch, kind = (1,), INT64
        graph.add("Unsqueeze", ["whole", graph.constant("first", [0])], "keypoints")
        graph.add("Unsqueeze", ["described", "first"], "descriptors")
        graph.add("Reshape", ["batched scores", "row"], "scores")
    else:
        batch, kind = (), FLOAT
        graph.add("Cast", ["whole"], "real", to=FLOAT)
        graph.add("Mul", ["real", graph.constant("scale", np.float32(2 / (side - 1)))], "wide")
        graph.add("Sub", ["wide", "one"], "keypoints")
        graph.add("Reshape", ["described", graph.constant("same", [-1, 128])], "descriptors")
        graph.add("Reshape", ["batched scores", "flat"], "scores")
    outputs = [("keypoints", kind, (*batch, MOST, 2)), ("descriptors", FLOAT, (*batch, MOST, 128)), ("scores", FLOAT, (*batch, MOST))]
    return graph.file([("image", FLOAT, (1, 3, side, side))], outputs)


def nearest_matcher():
    """A matcher with LightGlue's inputs and outputs: for each feature the one with the nearest descriptor, its cosine the score."""
    graph = Graph()
    graph.add("Transpose", ["desc1"], "turned", perm=[0, 2, 1])
    graph.add("MatMul", ["desc0", "turned"], "cosines")
    graph.add("ArgMax", ["cosines"], "batched best", axis=2, keepdims=0)
    graph.add("ReduceMax", ["cosines"], "batched cosine", axes=[2], keepdims=0)
    graph.add("Squeeze", ["batched best", graph.constant("first", [0])], "best")
    graph.add("Squeeze", ["batched cosine", "first"], "mscores0")
    graph.add("Shape", ["best"], "shape")
    graph.add("Squeeze", ["shape", "first"], "count")
    graph.add("Range", [graph.constant("zero", np.int64(0)), "count", graph.constant("step", np.int64(1))], "all")
    for name in ("all", "best"):
        graph.add("Unsqueeze", [name, graph.constant(f"second {name}", [1])], f"{name} rows")
    graph.add("Concat", ["all rows", "best rows"], "matches0", axis=1)
    inputs = [(f"{what}{k}", FLOAT, (1, f"n{k}", size)) for what, size in (("kpts", 2), ("desc", 128)) for k in (0, 1)]
    return graph.file(inputs, [("matches0", INT64, ("n0", 2)), ("mscores0", FLOAT, ("n0",))])
