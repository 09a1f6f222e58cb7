"""The commands of `scallion`, one file each, and how they write to a terminal (`_terminal`)."""
