"""Programs met in verifications, recorded as files, and replayed on one solver after the other."""
