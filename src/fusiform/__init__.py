"""fusiform links deep networks and the human brain, both ways.

Datasets give stimuli and responses; features describe stimuli; pairs join the two; models learn; scores judge;
plots show.
"""
