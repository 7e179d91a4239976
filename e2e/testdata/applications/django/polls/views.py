from django.db.models import Count
from django.http import JsonResponse
from django.views.decorators.http import require_POST

from polls.models import Vote


def index(request):
    votes = Vote.objects.values("choice").annotate(votes=Count("id"))
    return JsonResponse({"host": request.get_host(), "votes": {vote["choice"]: vote["votes"] for vote in votes}})


@require_POST
def vote(request):
    Vote.objects.create(choice=request.GET.get("choice", "none")[:20])
    return JsonResponse({"ok": True}, status=201)
