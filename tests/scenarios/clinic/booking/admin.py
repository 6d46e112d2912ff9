from django.contrib import admin

from booking.models import Appointment, Prescription, Service, Visit, WaitlistEntry


@admin.register(Service)
class ServiceAdmin(admin.ModelAdmin):
    list_display = ("code", "name", "duration", "price")
    list_editable = ("price",)


@admin.register(Appointment)
class AppointmentAdmin(admin.ModelAdmin):
    list_display = ("reference", "patient", "practitioner", "starts_at", "status")
    list_filter = ("status", "service")
    list_select_related = ("patient", "practitioner__user")
    raw_id_fields = ("patient",)
    readonly_fields = ("length", "created_at")
    actions = ("cancel",)

    @admin.action(description="Cancel")
    def cancel(self, request, queryset):
        number = queryset.update(status=Appointment.Status.CANCELLED)
        self.message_user(request, f"{number} cancelled")


admin.site.register([Visit, Prescription, WaitlistEntry])
