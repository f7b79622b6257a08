"""How falldet takes what a stranger sends: mutated files, counted by outcome."""
