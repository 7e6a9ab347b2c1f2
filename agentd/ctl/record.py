"""`agentctl record`: what was recorded, and a part of it as text or CSV."""
