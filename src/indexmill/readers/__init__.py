"""Readers: the text of document files, by content type, extracted in a child process with limits."""
