"""A user model of a site's own: people log in by mail and have no names."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models


class Member(AbstractBaseUser, PermissionsMixin):
    mail = models.EmailField(unique=True)
    enabled = models.BooleanField(default=True)
    since = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "mail"
    EMAIL_FIELD = "mail"
    objects = BaseUserManager()
