"""How a web server reaches the page: ASGI and WSGI, and the request that both become."""
