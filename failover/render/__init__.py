"""Turns results into text, JSON, Markdown and HTML. The only place that prints."""
