"""Scorers: each says of windows how much it believes that a tip is in the middle."""
