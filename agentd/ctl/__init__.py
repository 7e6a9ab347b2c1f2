"""`agentctl`: over the daemon's Unix socket while it runs, from its files when it does not."""
