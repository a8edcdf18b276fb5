"""Whole experiments as typed functions: settings in, a run folder out. Presets hold settings by name."""
