"""What people look at: terminal, live view, Markdown, HTML page, charts, the report directory.
Imported by `cli` and by Python users."""
