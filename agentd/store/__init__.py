"""SQLite: what is recorded, how long it is kept, how it is read again."""
