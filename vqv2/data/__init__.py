"""Where images come from: folders, arrays and packaged sets, and how they are augmented."""
