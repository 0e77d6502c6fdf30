"""What every HTTP server and client of ours needs."""
