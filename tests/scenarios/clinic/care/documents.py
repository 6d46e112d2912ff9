"""Documents of patients: upload, listing, download."""

import hashlib
from typing import Any

from django.db import transaction
from django.db.models import Sum
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse

from accounts.models import audit
from care.models import Document, Patient
from config.api import ApiError, endpoint, found

_TYPES = {"application/pdf", "image/png", "text/plain"}
_THUMBNAIL_BYTES = 256


def _shown(document: Document) -> dict[str, Any]:
    return {
        "id": str(document.pk),
        "title": document.title,
        "size": document.size,
        "type": document.content_type,
        "by": document.uploaded_by.username if document.uploaded_by else None,
    }


@endpoint("GET", "POST", permission="care.view_document")
def documents(request: HttpRequest, pk: str) -> HttpResponse:
    patient = found(Patient.objects.all(), pk=pk)
    if request.method == "GET":
        rows = patient.documents.select_related("uploaded_by").defer("thumbnail").order_by("title", "uploaded_at")
        total = patient.documents.aggregate(bytes=Sum("size", default=0))["bytes"]
        return JsonResponse({"documents": [_shown(row) for row in rows], "bytes": total})
    uploaded = request.FILES.get("file")
    if uploaded is None:
        raise ApiError(422, "missing", fields=["file"])
    if uploaded.content_type not in _TYPES:
        raise ApiError(415, "type", allowed=sorted(_TYPES))
    content = uploaded.read()
    uploaded.seek(0)
    with transaction.atomic():
        document = Document.objects.create(
            patient=patient,
            title=request.POST.get("title") or uploaded.name,
            file=uploaded,
            content_type=uploaded.content_type,
            size=uploaded.size,
            thumbnail=content[:_THUMBNAIL_BYTES],
            uploaded_by=request.user,
        )
        audit(request.user, "upload", document, sha256=hashlib.sha256(content).hexdigest())
    return JsonResponse(_shown(document), status=201)


@endpoint("GET", permission="care.view_document")
def content(request: HttpRequest, pk: str) -> HttpResponse:
    document = found(Document.objects.all(), pk=pk)
    return FileResponse(document.file.open(), content_type=document.content_type, filename=document.title)


@endpoint("GET", permission="care.view_document")
def thumbnail(request: HttpRequest, pk: str) -> HttpResponse:
    document = found(Document.objects.only("thumbnail", "content_type"), pk=pk)
    return HttpResponse(bytes(document.thumbnail or b""), content_type=document.content_type)
