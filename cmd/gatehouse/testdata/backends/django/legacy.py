"""A Django site that knows nothing of tokens: it believes the header of the gateway in front of it."""

import os

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="only for this example, thirty-two bytes",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="legacy_urls",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["LEGACY_DB"]}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    # docs:django-settings:begin
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "gatehouse_user.GatehouseUserMiddleware",
    ],
    AUTHENTICATION_BACKENDS=["gatehouse_user.GatehouseUserBackend"],
    # The gateway says which scheme and host the client used.
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    # docs:django-settings:end
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
# Behind `preset: django-remote-user` the header has another name.
if os.environ.get("LEGACY_PRESET"):
    settings.MIDDLEWARE[-1] = "gatehouse_remote_user.GatewayUserMiddleware"
    settings.AUTHENTICATION_BACKENDS = ["gatehouse_remote_user.GatewayUserBackend"]
django.setup()

if __name__ == "__main__":
    from django.core.management import call_command

    call_command("migrate", verbosity=0)

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
