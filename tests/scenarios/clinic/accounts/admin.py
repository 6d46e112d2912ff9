from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from accounts.models import ApiKey, AuditEntry, User


@admin.register(User)
class StaffAdmin(UserAdmin):
    list_display = ("username", "email", "site", "is_staff")
    list_select_related = ("site",)
    fieldsets = (*UserAdmin.fieldsets, ("Clinic", {"fields": ("site", "time_zone", "preferences")}))


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    list_display = ("name", "user", "created_at", "last_used_at")
    exclude = ("digest",)


@admin.register(AuditEntry)
class AuditEntryAdmin(admin.ModelAdmin):
    list_display = ("at", "action", "actor", "content_type", "object_id")
    list_filter = ("action", "content_type")
    date_hierarchy = "at"
