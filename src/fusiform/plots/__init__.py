"""Plots show: values on the cortex, charts of plain arrays, and reports. Figures never touch pyplot's global state."""
