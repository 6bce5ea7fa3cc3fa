# docs:django-middleware:begin
from urllib.parse import unquote

from django.contrib.auth.backends import RemoteUserBackend
from django.contrib.auth.middleware import RemoteUserMiddleware


class GatehouseUserMiddleware(RemoteUserMiddleware):
    """Log in whoever the gateway names, on each request; nobody where it names none."""

    header = "HTTP_X_USER_NAME"


class GatehouseUserBackend(RemoteUserBackend):
    """Create a user at the first request; give the name its letters back."""

    def clean_username(self, username):
        return unquote(username)
# docs:django-middleware:end
