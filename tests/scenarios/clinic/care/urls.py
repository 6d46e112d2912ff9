from django.urls import path

from care import documents, patients

urlpatterns = [
    path("api/patients", patients.patients),
    path("api/patients/export.csv", patients.export),
    path("api/patients/import", patients.import_file),
    path("api/patients/<uuid:pk>", patients.patient),
    path("api/patients/<uuid:pk>/timeline", patients.timeline),
    path("api/patients/<uuid:pk>/documents", documents.documents),
    path("api/documents/<uuid:pk>", documents.content),
    path("api/documents/<uuid:pk>/thumbnail", documents.thumbnail),
    path("api/lookup", patients.lookup),
    path("api/sites/<slug:code>/staff", patients.colleagues),
    path("api/sites/<slug:code>/hours", patients.opening_hours),
]
