"""Django's `manage.py` commands."""
