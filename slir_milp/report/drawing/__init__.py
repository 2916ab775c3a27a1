"""Pictures in SVG, drawn without a library: they go into files and into the report alike.

Lines and text take the colour of the text around them, and the background stays clear, so that a picture suits light
pages and dark ones.
"""
