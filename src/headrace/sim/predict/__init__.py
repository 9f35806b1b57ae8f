"""What a run that was measured would take on another cluster: its plan runs again, and its bodies are only modelled.

Everything but the bodies is what runs in production: the schedule, the claims, membership, the workers' loops, and the
fetches of blocks, over simulated links.
"""
