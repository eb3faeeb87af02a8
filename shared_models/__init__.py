"""What both apps serve. Nothing here waits, and nothing here imports our other packages."""
