"""Values that hold things: stimuli, spaces, responses and features. No torch here."""

from fusiform.data.features import Features
from fusiform.data.media import ArraySound, ArrayVideo, FileSound, FileVideo, Sound, Video
from fusiform.data.responses import Array, Responses
from fusiform.data.space import Grid, Space
from fusiform.data.stimuli import Kind, Recording, Stimuli, Track

__all__ = [
    "Array",
    "ArraySound",
    "ArrayVideo",
    "Features",
    "FileSound",
    "FileVideo",
    "Grid",
    "Kind",
    "Recording",
    "Responses",
    "Sound",
    "Space",
    "Stimuli",
    "Track",
    "Video",
]
