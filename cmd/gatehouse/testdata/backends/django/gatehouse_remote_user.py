# docs:django-preset:begin
from urllib.parse import unquote

from django.contrib.auth.backends import RemoteUserBackend
from django.contrib.auth.middleware import RemoteUserMiddleware


class GatewayUserMiddleware(RemoteUserMiddleware):
    """The header Remote-User, as Django's request.META calls it."""

    header = "HTTP_REMOTE_USER"


class GatewayUserBackend(RemoteUserBackend):
    def clean_username(self, username):
        return unquote(username)
# docs:django-preset:end
