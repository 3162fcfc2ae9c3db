"""OpenCV's cv2.Stitcher as a command: stitches PHOTOs into OUT and prints «used N of M».

Needs nothing but a Python with OpenCV, so that it can be the peer in sets.py and processes.py from an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import cv2

MODES = {"panorama": cv2.Stitcher_PANORAMA, "scans": cv2.Stitcher_SCANS}
FAILURES = {
    cv2.Stitcher_ERR_NEED_MORE_IMGS: "needs more images",
    cv2.Stitcher_ERR_HOMOGRAPHY_EST_FAIL: "homography estimation failed",
    cv2.Stitcher_ERR_CAMERA_PARAMS_ADJUST_FAIL: "camera parameter adjustment failed",
}


def main() -> None:
    """Stitch as the command line says; the exit code is 1 when nothing came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=MODES, default="panorama", help="default: %(default)s")
    parser.add_argument("--cameras", help="also write every used photo's focal length in px and rotation, as JSON")
    parser.add_argument("out")
    parser.add_argument("photos", nargs="+")
    arguments = parser.parse_args()
    photos = [photo for path in arguments.photos if (photo := cv2.imread(path)) is not None]
    stitcher = cv2.Stitcher.create(MODES[arguments.mode])
    status, panorama = stitcher.stitch(photos)
    if status != cv2.Stitcher_OK:
        print(f"used 0 of {len(arguments.photos)}")
        sys.exit(f"cv2.Stitcher: {FAILURES.get(status, f'status {status}')}")
    if arguments.cameras:
        names = [Path(arguments.photos[i]).name for i in stitcher.component()]
        scale = stitcher.workScale()
        cameras = [{"name": n, "focal": c.focal / scale, "R": c.R.tolist()} for n, c in zip(names, stitcher.cameras(), strict=True)]
        Path(arguments.cameras).write_text(json.dumps(cameras))
    if not cv2.imwrite(arguments.out, panorama):
        sys.exit(f"{arguments.out}: cannot be written")
    print(f"used {len(stitcher.component())} of {len(arguments.photos)}")


if __name__ == "__main__":
    main()
