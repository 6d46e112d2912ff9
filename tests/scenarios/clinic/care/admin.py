from typing import ClassVar

from django.contrib import admin

from care.models import Document, Patient, Practitioner, Qualification, Room, Site, Specialty


class RoomInline(admin.TabularInline):
    model = Room
    extra = 0


class QualificationInline(admin.TabularInline):
    model = Qualification
    extra = 0


@admin.register(Site)
class SiteAdmin(admin.ModelAdmin):
    list_display = ("code", "name", "time_zone")
    inlines = (RoomInline,)


@admin.register(Specialty)
class SpecialtyAdmin(admin.ModelAdmin):
    list_display = ("slug", "name")
    prepopulated_fields: ClassVar = {"slug": ("name",)}


@admin.register(Practitioner)
class PractitionerAdmin(admin.ModelAdmin):
    list_display = ("__str__", "active", "hourly_rate")
    list_filter = ("active", "specialties")
    filter_horizontal = ("sites",)
    inlines = (QualificationInline,)


@admin.register(Patient)
class PatientAdmin(admin.ModelAdmin):
    list_display = ("mrn", "last_name", "first_name", "site", "born_on")
    list_filter = ("site",)
    search_fields = ("mrn", "last_name", "email")
    date_hierarchy = "born_on"
    list_per_page = 25


admin.site.register(Document)
