"""The page as the ways of web servers have it: ASGI and WSGI. Django's is in `contrib`."""
