"""A Django site of one file, for tests that need the real one.

    manage.py fill               users for every hasher, groups, refresh tokens
    manage.py authenticate       reads {name: password} and prints {name: id or null}
    manage.py describe           prints users and groups as Django has them
    manage.py anything-else      what Django has: migrate, dumpdata, loaddata

The database is $SITE_DATABASE, a file or postgres://user@host:port/name. $SITE_MODEL = custom has users who log in by email.
"""

import json
import os
import sys
from urllib.parse import urlsplit

import django
from django.conf import settings

database = {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SITE_DATABASE"]}
if os.environ["SITE_DATABASE"].startswith("postgres://"):
    url = urlsplit(os.environ["SITE_DATABASE"])
    database = {
        "ENGINE": "django.db.backends.postgresql", "NAME": url.path[1:],
        "USER": url.username, "HOST": url.hostname, "PORT": url.port,
    }
custom = os.environ.get("SITE_MODEL") == "custom"
settings.configure(
    SECRET_KEY="a key of forty-two characters, for tests only",
    USE_TZ=os.environ.get("SITE_USE_TZ", "1") == "1",
    TIME_ZONE=os.environ.get("SITE_TIME_ZONE", "UTC"),
    DATABASES={"default": database},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    AUTH_USER_MODEL="members.Member" if custom else "auth.User",
    PASSWORD_HASHERS=[
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
        "django.contrib.auth.hashers.Argon2PasswordHasher",
        "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
        "django.contrib.auth.hashers.BCryptPasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]
    + (["django.contrib.auth.hashers.ScryptPasswordHasher"] if django.VERSION >= (4, 0) else [])
    + [
        "django.contrib.auth.hashers." + name
        for name in ["SHA1PasswordHasher", "UnsaltedMD5PasswordHasher", "UnsaltedSHA1PasswordHasher"]
        if django.VERSION < (5, 1)
    ],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"]
    + (["members"] if custom else ["rest_framework_simplejwt.token_blacklist"]),
    MIGRATION_MODULES={"members": None},
)
if custom:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
django.setup()

from django.contrib.auth import authenticate, get_user_model  # noqa: E402
from django.contrib.auth.hashers import make_password  # noqa: E402


def fill():
    from datetime import datetime, timedelta, timezone

    from django.contrib.auth.models import Group

    User = get_user_model()
    staff, support = Group.objects.create(name="staff"), Group.objects.create(name="Büro, links")
    Group.objects.create(name="nobody is in it")
    for i, hasher in enumerate(h.split(".")[-1] for h in settings.PASSWORD_HASHERS):
        algorithm = {
            "PBKDF2PasswordHasher": "pbkdf2_sha256", "PBKDF2SHA1PasswordHasher": "pbkdf2_sha1",
            "Argon2PasswordHasher": "argon2", "BCryptSHA256PasswordHasher": "bcrypt_sha256",
            "BCryptPasswordHasher": "bcrypt", "MD5PasswordHasher": "md5", "ScryptPasswordHasher": "scrypt",
            "SHA1PasswordHasher": "sha1", "UnsaltedMD5PasswordHasher": "unsalted_md5", "UnsaltedSHA1PasswordHasher": "unsalted_sha1",
        }[hasher]
        user = User.objects.create(
            id=10 + i, username=algorithm, password=make_password("pässwörd of " + algorithm, hasher=algorithm),
            email=algorithm + "@example.com", first_name="Ada", last_name="O'Neil “x” <y>",
            is_staff=i == 0, is_superuser=i == 1,
        )
        user.groups.add(*([staff, support] if i == 0 else [support]))
    # Known numbers of Django, for the hasher that this version may not have.
    User.objects.create(
        id=90, username="vector-scrypt",
        password="scrypt$1024$seasalt$8$1$eYM8p1xUgWCj/ru9FUNjtQtfg+asD/pc8blb5TguJ8FEqgLtWadWCfc4OUC6gLixWXydyHWv2n1xAysoUJyeEg==",
    )
    User.objects.create(id=91, username="unusable", password=make_password(None))
    User.objects.create(id=92, username="crypt", password="crypt$$abJnggxhB/yWI")
    User.objects.create(id=93, username="off", password=make_password("pässwörd of off", hasher="md5"), is_active=False)
    User.objects.create(
        id=94, username="ünï+co.de@例え-_Ж", password=make_password("pässwörd of odd", hasher="md5"),
        last_login=datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=timezone.utc),
        date_joined=datetime(2010, 1, 2, 3, 4, 5, 60, tzinfo=timezone.utc),
    )
    User.objects.create(id=95, username="Crypt", password=make_password(None))
    User.objects.create(id=500, username="deleted")
    User.objects.filter(id=500).delete()

    from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
    from rest_framework_simplejwt.tokens import RefreshToken

    answer = {}
    for name in ["live", "revoked", "expired"]:
        token = RefreshToken.for_user(User.objects.get(id=10))
        if name == "revoked":
            token.blacklist()
        if name == "expired":
            OutstandingToken.objects.filter(jti=token["jti"]).update(
                expires_at=datetime.now(timezone.utc) - timedelta(days=30)
            )
        answer[name] = token["jti"]
    print(json.dumps(answer))


def describe():
    users = {}
    for user in get_user_model().objects.all():
        users[user.username] = {
            "id": user.id, "password": user.password, "email": user.email, "first_name": user.first_name,
            "last_name": user.last_name, "is_active": user.is_active, "is_staff": user.is_staff,
            "is_superuser": user.is_superuser, "date_joined": str(user.date_joined),
            "last_login": user.last_login and str(user.last_login),
            "groups": sorted(group.name for group in user.groups.all()),
        }
    print(json.dumps(users))


def check():
    answer = {}
    for name, password in json.load(sys.stdin).items():
        user = authenticate(username=name, password=password)
        answer[name] = user and user.pk
    print(json.dumps(answer))


command = {"fill": fill, "describe": describe, "authenticate": check}.get(sys.argv[1])
if command:
    command()
else:
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
