from django.http import JsonResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def whoami(request):
    """What this site believes about the request."""
    return JsonResponse(
        {
            "user": request.user.username,
            "path": request.path,
            "secure": request.is_secure(),
            "host": request.get_host(),
            "meta": {name: value for name, value in request.META.items() if name.startswith(("HTTP_", "REMOTE_"))},
        }
    )


urlpatterns = [re_path("", whoami)]
