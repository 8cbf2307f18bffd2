"""Plumbline: keeps a Firestore application true to its smart contract."""
