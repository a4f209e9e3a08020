"""Pure decisions: facts in, plan or refusal out. No I/O, clock, randomness or logging here."""
