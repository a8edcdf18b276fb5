"""Values that hold things: stimuli, spaces, responses and features. No torch here."""

from fusiform.data.features import Features
from fusiform.data.responses import Array, Responses
from fusiform.data.space import Space
from fusiform.data.stimuli import Kind, Recording, Stimuli, Track

__all__ = ["Array", "Features", "Kind", "Recording", "Responses", "Space", "Stimuli", "Track"]
