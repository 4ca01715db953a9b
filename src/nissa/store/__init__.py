"""What is kept on disk: journal, blocks, series table, catalogue; and how it is read back."""
