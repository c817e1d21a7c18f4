"""Annotations in the forms of other tools."""

FORMATS = ("hivau", "label-studio", "fiftyone", "activitynet")


def read_format(path, name=None, videos=None, source=None, split=None):
    """Placeholder until the formats are merged."""
    raise NotImplementedError
