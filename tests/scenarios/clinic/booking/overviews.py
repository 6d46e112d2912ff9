"""Pages that look at many appointments: the day sheet, a site's board, the dashboard, utilisation."""

from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.core.cache import cache
from django.db.models import Avg, Count, ExpressionWrapper, F, FloatField, Q, Sum, Window
from django.db.models.functions import Extract, Lag, Rank, RowNumber, TruncDate
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone

from booking.models import Appointment
from care.models import Practitioner, Site
from config.api import ApiError, endpoint, found

_COUNTERS = ("booked", "arrived", "done", "missed", "cancelled", "waiting")


def _day(request: HttpRequest) -> date:
    given = request.GET.get("on")
    try:
        return date.fromisoformat(given) if given else timezone.localdate()
    except ValueError as error:
        raise ApiError(422, "no-date", got=given) from error


@login_required
@permission_required("booking.see_day_sheet", raise_exception=True)
def day_sheet(request: HttpRequest) -> HttpResponse:
    """Every appointment of a day; grew over the years, and asks for each row what it shows of it."""
    day = _day(request)
    rows = Appointment.objects.filter(starts_at__date=day).order_by("starts_at", "reference")
    return render(request, "booking/day_sheet.html", {"day": day, "rows": rows})


@endpoint("GET", permission="booking.see_day_sheet")
def board(request: HttpRequest, code: str) -> HttpResponse:
    """What the screen in a site's waiting room shows, with what the front desk asks for."""
    site = found(Site.objects.all(), code=code)
    rows = []
    for appointment in Appointment.objects.filter(starts_at__date=_day(request), patient__site=site).order_by(
        "reference"
    ):
        policy = appointment.patient.policies.order_by("pk").first()
        rows.append(
            {
                "reference": appointment.reference,
                "initials": appointment.patient.first_name[0] + appointment.patient.last_name[0],
                "insurer": policy.insurer.name,
            }
        )
    return JsonResponse({"site": site.name, "rows": rows})


@endpoint("GET", permission="booking.see_day_sheet")
def dashboard(request: HttpRequest) -> HttpResponse:
    """Counters of every site for a week; each has a key of its own, as tasks and requests count them up."""
    today = timezone.localdate()
    cache.add("dashboard:views", 0, timeout=None)
    views = cache.incr("dashboard:views")
    sites = []
    for site in Site.objects.all():
        week = {}
        for number in range(7):
            day = today + timedelta(days=number)
            week[str(day)] = cache.get_or_set(f"count:{site.pk}:{day}", _counting(site, day), timeout=300)
        keys = {name: f"counter:{site.code}:{name}" for name in _COUNTERS}
        held = cache.get_many(keys.values())
        missing = {key: 0 for key in keys.values() if key not in held}
        if missing:
            cache.set_many(missing, timeout=600)
        staff = cache.get_or_set(f"site:{site.pk}:staff", site.practitioners.count, timeout=600)
        cache.touch(f"site:{site.pk}:staff", 900)
        counters = {name: held.get(key, 0) for name, key in keys.items()}
        sites.append({"site": site.code, "week": week, "staff": staff, "counters": counters})
    changes = cache.get(f"changes:{today}", 0)
    layout = cache.get("dashboard:layout", version=2) or cache.get("dashboard:layout", ["week"], version=1)
    return JsonResponse({"views": views > 0, "sites": sites, "changes": changes, "layout": layout})


def _counting(site: Site, day: date) -> Any:
    return lambda: Appointment.objects.filter(patient__site=site, starts_at__date=day).count()


@endpoint("GET", permission="booking.see_day_sheet")
def statistics(request: HttpRequest, code: str) -> HttpResponse:
    """Yesterday's figures of a site, which a nightly task leaves in the cache."""
    site = found(Site.objects.all(), code=code)
    figures = cache.get(f"statistics:{site.code}")
    if figures is None:
        figures = compute_statistics(site)
        cache.set(f"statistics:{site.code}", figures, timeout=3600)
    shown_up = figures["done"] + figures["arrived"]
    return JsonResponse({"site": site.name, "shown_up": shown_up, "missed": figures["missed"]})


def compute_statistics(site: Site) -> dict[str, int]:
    """How many appointments of a site there are in each status."""
    counts = {status: Count("pk", filter=Q(status=status)) for status in ("done", "arrived", "missed")}
    return Appointment.objects.filter(patient__site=site).aggregate(**counts)


@endpoint("GET", permission="booking.see_day_sheet")
def utilisation(request: HttpRequest) -> HttpResponse:
    """How busy practitioners were in a month: minutes, rank, and the change from day to day."""
    start = datetime.strptime(request.GET.get("month") or timezone.localdate().strftime("%Y-%m"), "%Y-%m").date()
    end = (start + timedelta(days=32)).replace(day=1)
    within = Appointment.objects.filter(starts_at__date__gte=start, starts_at__date__lt=end).exclude(status="cancelled")
    totals = within.aggregate(all=Count("pk"), missed=Count("pk", filter=Q(status="missed")), length=Avg("length"))
    missed_percent = round(100 * totals["missed"] / totals["all"], 1)
    seconds = ExpressionWrapper(Extract("total", "epoch"), output_field=FloatField())
    ranked = (
        within.values("practitioner__user__last_name")
        .annotate(total=Sum("length"), seconds=seconds)
        .annotate(rank=Window(Rank(), order_by=F("total").desc()))
        .order_by("rank", "practitioner__user__last_name")
    )
    days = (
        within.annotate(day=TruncDate("starts_at"))
        .values("day")
        .annotate(number=Count("pk"))
        .annotate(
            before=Window(Lag("number", default=0), order_by=F("day").asc()),
            row=Window(RowNumber(), order_by=F("day").asc()),
        )
        .order_by("day")
    )
    return JsonResponse(
        {
            "missed_percent": missed_percent,
            "average_minutes": totals["length"].total_seconds() / 60,
            "practitioners": [[row["practitioner__user__last_name"], row["seconds"], row["rank"]] for row in ranked],
            "days": [[row["row"], row["number"], row["number"] - row["before"]] for row in days],
        }
    )


@endpoint("GET")
def languages(request: HttpRequest) -> HttpResponse:
    """Practitioners who speak one of these languages."""
    wanted = request.GET.getlist("language")
    staff = Practitioner.objects.filter(languages__overlap=wanted).select_related("user").order_by("pk")
    return JsonResponse({"staff": [{"name": str(each), "languages": each.languages} for each in staff]})
