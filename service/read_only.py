"""The dashboard's page without the buttons that change a study: nothing of it may be changed here.

The package has no read-only mode, and the service passes nothing on that writes. So its page gets a
stylesheet of ours, which its own Content-Security-Policy allows: what can't work is not shown.
"""

from __future__ import annotations

# Its buttons are told apart by what they are called, or by the icons of Material UI in them.
HIDDEN = (
    'button:has([data-testid="AddBoxIcon"])',  # create a study
    '[aria-label="rename study"]',
    '[aria-label="delete study"]',
    'button:has([data-testid="EditIcon"])',  # a note
    '[aria-label="delete artifact"]',
    '[aria-label="skip trial"]',
    'a:has([data-testid="GitHubIcon"])',  # leads out of the house
)
STYLE = f"<style>{', '.join(HIDDEN)} {{ display: none !important; }}</style>"


def read_only(page: bytes) -> bytes:
    """Return the dashboard's page with our stylesheet at the end of its head."""
    return page.replace(b"</head>", STYLE.encode() + b"</head>", 1)
