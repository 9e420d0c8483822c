"""The text of unit files: templates, escaping, and a parser that reads them back."""
