"""A seeded plan of faults, reorgs and kills against ``plumbline local``, judged from outside."""
