"""Agents as their frameworks' documentation writes them."""
