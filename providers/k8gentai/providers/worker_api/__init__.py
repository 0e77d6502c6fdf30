"""The routes that workers call for the turns that they run."""
