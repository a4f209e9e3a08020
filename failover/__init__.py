"""failover: keeps one app alive across providers that can each switch it off."""
