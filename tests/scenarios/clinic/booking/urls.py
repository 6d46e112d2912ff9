from django.urls import path

from booking import appointments, overviews

urlpatterns = [
    path("day/", overviews.day_sheet),
    path("api/slots", appointments.slots),
    path("api/appointments", appointments.appointments),
    path("api/appointments/<uuid:pk>", appointments.appointment),
    path("api/appointments/<uuid:pk>/arrive", appointments.arrive),
    path("api/appointments/<uuid:pk>/finish", appointments.finish),
    path("api/appointments/<uuid:pk>/summary", appointments.summary),
    path("api/waitlist", appointments.waitlist),
    path("api/waitlist/<int:pk>/promote", appointments.promote),
    path("api/sites/<slug:code>/board", overviews.board),
    path("api/sites/<slug:code>/statistics", overviews.statistics),
    path("api/dashboard", overviews.dashboard),
    path("api/languages", overviews.languages),
    path("api/reports/utilisation", overviews.utilisation),
]
