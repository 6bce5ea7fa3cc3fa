from django.http import HttpResponseRedirect, JsonResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def whoami(request):
    """What this site believes about the request; or a redirect, for who asks to go somewhere."""
    if "go" in request.GET:
        response = HttpResponseRedirect(request.GET["go"])
        response.set_cookie("seen", "1", path="/")
        return response
    return JsonResponse(
        {
            "user": request.user.username,
            "path": request.path,
            "secure": request.is_secure(),
            "host": request.get_host(),
            "meta": {name: value for name, value in request.META.items() if name.startswith(("HTTP_", "REMOTE_", "PATH_INFO"))},
        }
    )


urlpatterns = [re_path("", whoami)]
