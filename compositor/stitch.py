"""From photos to a panorama: the table of contents. Read this file first."""
