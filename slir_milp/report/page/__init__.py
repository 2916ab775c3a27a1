"""The report of a campaign as one page that needs nothing else: no network, no font, no script of others."""
