"""What both apps serve. Nothing here waits, and nothing here imports anything of ours outside."""
