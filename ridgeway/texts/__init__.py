"""What a cell's text means: numbers as people write them, dates and times, nothing at all.

Files are read by it when they come in and rows when they are predicted, so that both agree. Needs
pydantic alone.
"""
