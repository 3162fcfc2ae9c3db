"""The only home of image files: photos in, pictures out. Importing it loads no codec."""

from compositor.images.color import to_common_profile
from compositor.images.files import PICTURE_ENDINGS, check_folder, read_bytes_checked, write_atomically, write_folder
from compositor.images.masks import MaskSource, is_masked, masks_by_name, read_matte, with_masks, with_wishes
from compositor.images.metadata import photo_heading
from compositor.images.read import open_photo, open_photos, open_source, photo_from_array, photo_names, read_mask
from compositor.images.write import as_jpeg, check_output, encode_preview, write_image
from compositor.images.xmp import Pose, creator_xmp, is_photo_mask, is_stitched, panorama_xmp, xmp_of

__all__ = [
    "PICTURE_ENDINGS",
    "MaskSource",
    "Pose",
    "as_jpeg",
    "check_folder",
    "check_output",
    "creator_xmp",
    "encode_preview",
    "is_masked",
    "is_photo_mask",
    "is_stitched",
    "masks_by_name",
    "open_photo",
    "open_photos",
    "open_source",
    "panorama_xmp",
    "photo_from_array",
    "photo_heading",
    "photo_names",
    "read_bytes_checked",
    "read_mask",
    "read_matte",
    "to_common_profile",
    "with_masks",
    "with_wishes",
    "write_atomically",
    "write_folder",
    "write_image",
    "xmp_of",
]
