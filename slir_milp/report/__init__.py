"""What is shown and written of a run: texts, the JSON document, the progress display."""
