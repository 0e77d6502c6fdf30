"""Text from agents' code and from models, made fit for JSON in UTF-8."""
