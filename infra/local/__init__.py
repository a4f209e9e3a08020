"""The local provider's components: hosts are processes of this machine, on loopback addresses."""
