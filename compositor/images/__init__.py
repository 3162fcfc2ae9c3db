"""The only home of image files: photos in, pictures out. Importing it loads no codec."""

from compositor.images.color import to_common_profile
from compositor.images.files import read_bytes_checked, write_atomically
from compositor.images.read import open_photo, open_photos, photo_from_array, read_mask
from compositor.images.write import check_output, encode_preview, write_image

__all__ = [
    "check_output",
    "encode_preview",
    "open_photo",
    "open_photos",
    "photo_from_array",
    "read_bytes_checked",
    "read_mask",
    "to_common_profile",
    "write_atomically",
    "write_image",
]
