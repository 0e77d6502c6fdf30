"""Agents' own code: imported, told apart, and watched for changes."""
