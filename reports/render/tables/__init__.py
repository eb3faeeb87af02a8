"""What is told as a table: the rows, and the table for the terminal."""
