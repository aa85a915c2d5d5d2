"""What this service keeps secret and vouches for: its key, sealed secrets, and URLs that it has signed."""
