from django.urls import path

from accounts import views

urlpatterns = [
    path("api/me", views.me),
    path("api/me/password", views.change_password),
    path("api/keys", views.api_keys),
    path("api/audit", views.audit_trail),
]
