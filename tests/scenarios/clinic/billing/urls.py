from django.urls import path

from billing import claims, invoices, jobs

urlpatterns = [
    path("api/invoices", invoices.invoices),
    path("api/invoices/export.csv", invoices.export),
    path("api/invoices/<str:number>", invoices.invoice),
    path("api/invoices/<str:number>/lines", invoices.add_line),
    path("api/invoices/<str:number>/discount", invoices.discount),
    path("api/invoices/<str:number>/send", invoices.send),
    path("api/payments", invoices.payments),
    path("api/reports/ageing", invoices.ageing),
    path("api/reports/revenue", invoices.revenue),
    path("api/claims", claims.claims),
    path("api/claims/<uuid:pk>/submit", claims.submit),
    path("api/claims/<uuid:pk>/submit-later", claims.submit_later),
    path("api/claims/<uuid:pk>/void", claims.void),
    path("api/patients/<uuid:pk>/eligibility", claims.eligibility),
    path("api/jobs/<slug:name>", jobs.start),
    path("api/jobs/<slug:name>/now", jobs.run_now),
    path("api/tasks/<str:task_id>", jobs.state),
    path("webhooks/insurers/<slug:code>", claims.insurer_webhook),
]
