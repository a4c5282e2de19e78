"""whole_file.py: results as a file that is whole at any time."""

import json
import os


def write(path, document):
    """Nothing where `path` is None."""
    if path:
        with open(path + ".part", "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
        os.replace(path + ".part", path)
