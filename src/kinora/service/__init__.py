"""The service: accounts, durable tasks, a ledger of units, files, and the wire formats people already use. Knows no
torch: what it must know of models it reads from their manifests.
"""
