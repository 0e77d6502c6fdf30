"""What running turns ask the server for."""
