"""Open-loop load, the ledger of acknowledged writes, and the checker."""
