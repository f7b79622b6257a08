"""How the readers bear damaged and hostile input."""
