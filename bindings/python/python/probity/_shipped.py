"""The model and the adapters that come with the package."""

from pathlib import Path

_FOLDER = Path(__file__).parent / "models"


def shipped(name: str) -> Path:
    """The file of the built-in model ("default") or of one of its adapters, such as "deontological".

    Raises `KeyError` with the list of names for another one.
    """
    file = _FOLDER / f"{name}.gguf"
    if not file.is_file():
        names = ", ".join(sorted(path.stem for path in _FOLDER.glob("*.gguf")))
        raise KeyError(f"{name}: not shipped, expected one of {names}")
    return file
