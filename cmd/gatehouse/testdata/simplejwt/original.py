"""A Django site with SimpleJWT of one file, which the tests ask the same as gatehouse.

    original.py                     makes the database with its users; prints tokens as JSON
    gunicorn original:application   serves

$SITE_DATABASE is its database, $SITE_SIMPLE_JWT its SIMPLE_JWT as JSON, with seconds
for durations.
"""

import json
import os
import sys
from datetime import timedelta

import django
from django.conf import settings

KEY = "an-example-signing-key-of-32-bytes!!"


def simple_jwt():
    given = json.loads(os.environ.get("SITE_SIMPLE_JWT") or "{}")
    for name, value in given.items():
        if name.endswith("_LIFETIME"):
            given[name] = timedelta(seconds=value)
    return given


settings.configure(
    SECRET_KEY=KEY,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="original",
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SITE_DATABASE"], "OPTIONS": {"timeout": 30}}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "rest_framework",
        "rest_framework_simplejwt",
        "rest_framework_simplejwt.token_blacklist",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    REST_FRAMEWORK={
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    },
    SIMPLE_JWT=simple_jwt(),
    PASSWORD_HASHERS=[
        "original.CheapHasher",
        "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
        "django.contrib.auth.hashers.Argon2PasswordHasher",
        "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    ],
)

from django.contrib.auth.hashers import PBKDF2PasswordHasher  # noqa: E402


class CheapHasher(PBKDF2PasswordHasher):
    """Hashes that cost a millisecond, since it is not they that are compared."""

    iterations = 1000

    def must_update(self, encoded):
        return False


# Run as a program this module is called __main__; Django must not load it again.
sys.modules["original"] = sys.modules[__name__]
django.setup()

from django.db.backends.signals import connection_created  # noqa: E402
from django.db.backends.sqlite3.base import DatabaseWrapper  # noqa: E402

# Several threads write: a transaction that reads first must not find its file locked
# when it writes. What is written need not outlive the machine.
DatabaseWrapper._start_transaction_under_autocommit = lambda self: self.cursor().execute("BEGIN IMMEDIATE")
connection_created.connect(lambda connection, **_: connection.cursor().execute("PRAGMA synchronous=OFF"), weak=False)

from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from rest_framework import permissions  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework_simplejwt import views  # noqa: E402

User = get_user_model()


class Whoami(APIView):
    """Says whom the token belongs to."""

    def answer(self, request):
        return Response({"id": request.user.id})

    get = post = put = delete = patch = answer


class Protected(Whoami):
    permission_classes = [permissions.IsAuthenticated]


class Open(Whoami):
    permission_classes = [permissions.AllowAny]


class InSales(permissions.BasePermission):
    def has_permission(self, request, view):
        return request.user.is_authenticated and request.user.groups.filter(name="sales").exists()


class Sales(Whoami):
    permission_classes = [InSales]


@csrf_exempt
def change(request):
    """Do to a user what an administrator does, or say what the user is now."""
    ask = json.loads(request.body)
    user = User.objects.filter(username=ask["user"])
    what = ask["what"]
    if what == "delete":
        user.delete()
    elif what in ("enable", "disable"):
        user.update(is_active=what == "enable")
    elif what == "passwd":
        account = user.get()
        account.set_password(ask["password"])
        account.save()
    account = user.first()
    return JsonResponse({"there": bool(account), "last_login": bool(account and account.last_login)})


urlpatterns = [
    path("api/token/", views.token_obtain_pair),
    path("api/token/refresh/", views.token_refresh),
    path("api/token/verify/", views.token_verify),
    path("api/token/blacklist/", views.token_blacklist),
    path("api/token/sliding/", views.token_obtain_sliding),
    path("api/token/sliding/refresh/", views.token_refresh_sliding),
    path("protected/", Protected.as_view()),
    path("open/", Open.as_view()),
    path("sales/", Sales.as_view()),
    path("behind/", Protected.as_view()),
    path("administration/", change),
]


def fill():
    from django.contrib.auth.hashers import make_password
    from django.core.management import call_command
    from rest_framework_simplejwt.tokens import RefreshToken

    call_command("migrate", verbosity=0)
    sales = Group.objects.create(name="sales")
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "users.json")) as file:
        for i, row in enumerate(json.load(file), 1):
            user = User.objects.create(
                id=i, username=row["name"], is_active=row.get("active", True),
                password=row.get("hash") or make_password(row.get("password")),
            )
            if row.get("sales"):
                user.groups.add(sales)
    blacklisted, live = RefreshToken.for_user(User.objects.get(id=1)), RefreshToken.for_user(User.objects.get(id=1))
    blacklisted.blacklist()
    print(json.dumps({"blacklisted": str(blacklisted), "live": str(live)}))


if __name__ == "__main__":
    fill()
else:
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
